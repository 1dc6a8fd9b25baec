// Slots for profiling: BASIC gives the time of each execution, DETAILED also that of its nodes, in
// microseconds.
#include "abi/entry.h"
#include "abi/guard.h"
#include "abi/handles.h"
#include "abi/profile.h"

namespace qhx::cpu::abi {
namespace {

constexpr std::uint32_t kBasic = 1, kDetailed = 2;
constexpr std::uint32_t kExecuteEvent = 400, kNodeEvent = 404, kMicroseconds = 1;
// An event's id is the handle of its profile, which leaves these bits free, plus its place among
// the events.
constexpr std::uint64_t kPlaceBits = 24;

std::uint64_t event_id(Qnn_ProfileHandle_t profile, std::uint64_t place) {
  return reinterpret_cast<std::uintptr_t>(profile) << kPlaceBits | place;
}
std::shared_ptr<Profile> profile_of(std::uint64_t event, std::uint64_t& place) {
  place = event & ((std::uint64_t{1} << kPlaceBits) - 1);
  return tables().profiles.find(reinterpret_cast<const void*>(event >> kPlaceBits));
}

Qnn_ErrorHandle_t profile_create(Qnn_BackendHandle_t backend, std::uint32_t level,
                                 Qnn_ProfileHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    if (tables().backends.find(backend) == nullptr) return kInvalidHandle;
    if (level != kBasic && level != kDetailed) return QNN_COMMON_ERROR_NOT_SUPPORTED;
    auto profile = std::make_shared<Profile>();
    profile->per_node = level == kDetailed;
    *handle = tables().profiles.add(std::move(profile));
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_events(Qnn_ProfileHandle_t handle, const std::uint64_t** events,
                             std::uint32_t* count) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (events == nullptr || count == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const std::shared_ptr<Profile> profile = tables().profiles.find(handle);
    if (profile == nullptr) return kInvalidHandle;
    const std::lock_guard lock(profile->mutex);
    profile->ids.clear();
    for (std::size_t i = 0; i < profile->events.size(); ++i)
      profile->ids.push_back(event_id(handle, i));
    *events = profile->ids.data();
    *count = profile->events.empty() ? 0 : 1;
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_sub_events(std::uint64_t event, const std::uint64_t** events,
                                 std::uint32_t* count) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (events == nullptr || count == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    std::uint64_t place = 0;
    const std::shared_ptr<Profile> profile = profile_of(event, place);
    if (profile == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const std::lock_guard lock(profile->mutex);
    const bool has_nodes = place == 0 && profile->ids.size() > 1;
    *events = has_nodes ? profile->ids.data() + 1 : nullptr;
    *count = has_nodes ? static_cast<std::uint32_t>(profile->ids.size() - 1) : 0;
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_event_data(std::uint64_t event, QnnProfile_EventData_t* data) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    std::uint64_t place = 0;
    const std::shared_ptr<Profile> profile = profile_of(event, place);
    if (data == nullptr || profile == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const std::lock_guard lock(profile->mutex);
    if (place >= profile->events.size()) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const Profile::Event& found = profile->events[place];
    *data = {.type = place == 0 ? kExecuteEvent : kNodeEvent,
             .unit = kMicroseconds,
             .value = found.microseconds,
             .identifier = found.name.c_str()};
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t profile_free(Qnn_ProfileHandle_t handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    return tables().profiles.remove(handle) != nullptr ? QNN_SUCCESS : kInvalidHandle;
  });
}

}  // namespace

void Profile::record(const std::string& graph, std::uint64_t total_microseconds,
                     const std::vector<StepTime>& steps) {
  const std::lock_guard lock(mutex);
  ids.clear();
  events.clear();
  events.push_back({graph, total_microseconds});
  for (std::size_t i = 0; per_node && i < steps.size(); ++i) {
    const Node& node = *steps[i].node;
    events.push_back({node.name + ":" + node.type, steps[i].microseconds});
  }
}

void fill_profile_slots(QnnInterface_ImplementationV2_t& table) {
  table.profileCreate = profile_create;
  table.profileGetEvents = get_events;
  table.profileGetSubEvents = get_sub_events;
  table.profileGetEventData = get_event_data;
  table.profileFree = profile_free;
}

}  // namespace qhx::cpu::abi
