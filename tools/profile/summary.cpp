#include "profile/summary.h"

#include <algorithm>
#include <utility>

namespace qhx::profile {
namespace {

constexpr std::size_t kMostSpans = 4000;  // of the timeline
constexpr std::size_t kMostOperations = 60;
constexpr const char* kLayer = "layer ";  // begins the names of the parts that are layers
constexpr const char* kUnknown = "(inputs, outputs and unnamed)";

void add_to(Sums& sums, const qnn::SimulatedEvent& event) {
  ++sums.events;
  sums.busy_us[static_cast<std::size_t>(event.unit)] += event.cycles;  // cycles until finish()
  sums.read_bytes += event.read_bytes;
  sums.written_bytes += event.written_bytes;
}

void add_to(Sums& sums, const Sums& more) {
  sums.events += more.events;
  for (std::size_t i = 0; i < sums.busy_us.size(); ++i) sums.busy_us[i] += more.busy_us[i];
  sums.time_us += more.time_us;
  sums.alone_us += more.alone_us;
  sums.read_bytes += more.read_bytes;
  sums.written_bytes += more.written_bytes;
}

Sums in_microseconds(Sums sums, const qnn::SimulatedFacts& facts) {
  for (double& busy : sums.busy_us) busy = facts.microseconds(busy);
  sums.time_us = facts.microseconds(sums.time_us);
  sums.alone_us = facts.microseconds(sums.alone_us);
  return sums;
}

std::vector<Row> falling(std::vector<Row> rows, const qnn::SimulatedFacts& facts) {
  for (Row& row : rows) row.sums = in_microseconds(row.sums, facts);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.sums.time_us > b.sums.time_us; });
  return rows;
}

std::vector<Row> falling(const std::map<std::string, Sums>& by_name,
                         const qnn::SimulatedFacts& facts) {
  std::vector<Row> rows;
  for (const auto& [name, sums] : by_name) rows.push_back({name, sums});
  return falling(std::move(rows), facts);
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// What an operation's weight has in common over the layers:
// "model.language_model.layers.3.mlp.gate_proj.weight" -> "mlp.gate_proj",
// "model.visual.blocks.3.attn.qkv.weight[0:64]" -> "attn.qkv[0:64]", "mlp_scale_3" -> "mlp_scale".
std::string short_weight(std::string name) {
  if (const std::size_t at = name.rfind(".weight"); at != std::string::npos) name.erase(at, 7);
  if (const std::size_t at = name.rfind('_');
      at != std::string::npos && all_digits(std::string_view(name).substr(at + 1)))
    name.erase(at);
  std::size_t begin = 0;  // after the last component that is a number
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    if (end < name.size() && all_digits(std::string_view(name).substr(at, end - at)))
      begin = end + 1;
    at = end + 1;
  }
  return name.substr(begin);
}

}  // namespace

Summary::Summary(const forge::NumberedOperations& operations) {
  // Operations without a weight are told apart by how many of their type came before in the part.
  std::map<std::pair<std::string, std::string>, int> seen;
  for (const auto& [id, operation] : operations) {
    std::string place = operation.type;
    const std::string weight = short_weight(operation.weight);
    place += weight.empty() ? " #" + std::to_string(++seen[{operation.part, operation.type}])
                            : " " + weight;
    const std::string part = operation.part.empty() ? "before the layers" : operation.part;
    labels_[id] = {operation.type, place, part, part + ": " + place};
  }
}

void Summary::add(const qnn::SimulatedEvent& event) {
  add_to(total_, event);
  const std::uint32_t kind = kind_number(event.kind);
  add_to(kinds_[kind].sums, event);
  if (event.kind == "Spill") add_to(spilled_, event);
  if (event.kind == "Fill") add_to(filled_, event);
  add_to(operations_[event.operation], event);
  overlap_.add(event, kind);
  keep(event);
}

std::uint32_t Summary::kind_number(std::string_view kind) {
  if (const auto found = kind_numbers_.find(kind); found != kind_numbers_.end())
    return found->second;
  const auto number = static_cast<std::uint32_t>(kinds_.size());
  kind_numbers_.emplace(kind, number);
  kinds_.push_back({std::string(kind), {}});
  return number;
}

void Summary::keep(const qnn::SimulatedEvent& event) {
  const auto longer = [](const KeptSpan& a, const KeptSpan& b) { return a.cycles > b.cycles; };
  if (event.cycles <= 0) return;
  if (longest_.size() == kMostSpans) {
    if (event.cycles <= longest_.front().cycles) return;
    std::pop_heap(longest_.begin(), longest_.end(), longer);
    longest_.pop_back();
  }
  longest_.push_back(
      {event.start, event.cycles, event.track, event.operation, std::string(event.kind)});
  std::push_heap(longest_.begin(), longest_.end(), longer);
}

void Summary::finish(qnn::SimulatedFacts facts, GraphProfile& to) {
  const Overlap::Times times = overlap_.finish(
      facts.cycles, [this](std::uint32_t operation, std::uint32_t kind, double cycles, bool alone) {
        for (Sums* sums : {&operations_[operation], &kinds_[kind].sums, &total_}) {
          sums->time_us += cycles;
          if (alone) sums->alone_us += cycles;
        }
      });
  for (std::size_t i = 0; i < times.alone.size(); ++i)
    to.alone_us[i] = facts.microseconds(times.alone[i]);
  to.several_us = facts.microseconds(times.several);
  to.none_us = facts.microseconds(times.none);
  std::map<std::string, Sums> types, places, parts, single;
  for (const auto& [id, sums] : operations_) {
    const auto found = labels_.find(id);
    const Labels labels =
        found != labels_.end() ? found->second : Labels{kUnknown, kUnknown, kUnknown, kUnknown};
    add_to(types[labels.type], sums);
    add_to(places[labels.place], sums);
    add_to(parts[labels.part], sums);
    add_to(single[labels.full], sums);
  }
  to.us = facts.microseconds(facts.cycles);
  to.total = in_microseconds(total_, facts);
  to.spilled_bytes = spilled_.written_bytes;
  to.filled_bytes = filled_.read_bytes;
  to.kinds = falling(kinds_, facts);
  to.types = falling(types, facts);
  to.places = falling(places, facts);
  to.parts = falling(parts, facts);
  to.operations = falling(single, facts);
  for (const Row& part : to.parts) {
    if (part.name != kUnknown && !part.name.starts_with(kLayer)) to.outside_us += part.sums.time_us;
  }
  if (to.operations.size() > kMostOperations) to.operations.resize(kMostOperations);
  std::sort(longest_.begin(), longest_.end(),
            [](const KeptSpan& a, const KeptSpan& b) { return a.cycles > b.cycles; });
  for (const KeptSpan& span : longest_) {
    const auto found = labels_.find(span.operation);
    to.timeline.push_back({span.track, facts.microseconds(span.start),
                           facts.microseconds(span.cycles), span.kind,
                           found == labels_.end() ? "" : found->second.full});
  }
  to.facts = std::move(facts);
}

}  // namespace qhx::profile
