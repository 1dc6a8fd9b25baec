#include "qnn/node_times.h"

#include <span>

namespace qhx::qnn {
namespace {

constexpr std::uint32_t kDetailed = 2;
constexpr std::uint32_t kNodeEvent = 404;

}  // namespace

std::string node_kind(std::string_view event) {
  if (const std::size_t colon = event.rfind(':'); colon != event.npos) {
    const std::string_view after = event.substr(colon + 1);
    if (!after.empty() && !after.starts_with("OpId")) return std::string(after);
    event = event.substr(0, colon);
  }
  const std::size_t last = event.find_last_not_of("0123456789");
  if (last != event.npos && last > 0 && last + 1 < event.size() && event[last] == '_')
    event = event.substr(0, last);
  return std::string(event);
}

std::unique_ptr<NodeTimes> NodeTimes::create(const QnnInterface_ImplementationV2_t& api,
                                             Qnn_BackendHandle_t backend) {
  Qnn_ProfileHandle_t profile = nullptr;
  if (api.profileCreate == nullptr || api.profileGetEvents == nullptr ||
      api.profileGetSubEvents == nullptr || api.profileGetEventData == nullptr ||
      api.profileFree == nullptr ||
      api.profileCreate(backend, kDetailed, &profile) != QNN_SUCCESS || profile == nullptr)
    return nullptr;
  return std::unique_ptr<NodeTimes>(new NodeTimes(api, profile));
}

NodeTimes::~NodeTimes() { api_.profileFree(profile_); }

void NodeTimes::collect(const std::string& graph) {
  const std::uint64_t* events = nullptr;
  std::uint32_t count = 0;
  if (api_.profileGetEvents(profile_, &events, &count) != QNN_SUCCESS) return;
  for (const std::uint64_t event : std::span(events, count)) {
    const std::uint64_t* nodes = nullptr;
    std::uint32_t node_count = 0;
    if (api_.profileGetSubEvents(event, &nodes, &node_count) != QNN_SUCCESS) continue;
    for (const std::uint64_t node : std::span(nodes, node_count)) add(node, sums_[graph]);
  }
}

void NodeTimes::add(std::uint64_t event, std::map<std::string, Sum>& sums) const {
  QnnProfile_EventData_t data{};
  if (api_.profileGetEventData(event, &data) != QNN_SUCCESS || data.type != kNodeEvent) return;
  Sum& sum = sums[node_kind(data.identifier == nullptr ? "?" : data.identifier)];
  ++sum.nodes;
  sum.time += data.value;
}

}  // namespace qhx::qnn
