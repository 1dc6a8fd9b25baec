#include "profile/summary.h"

#include <algorithm>
#include <utility>

namespace qhx::profile {
namespace {

constexpr std::size_t kMostSpans = 4000;  // of the timeline
constexpr std::size_t kMostOperations = 60;
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
  sums.read_bytes += more.read_bytes;
  sums.written_bytes += more.written_bytes;
}

Sums in_microseconds(Sums sums, const qnn::SimulatedFacts& facts) {
  for (double& busy : sums.busy_us) busy = facts.microseconds(busy);
  return sums;
}

template <typename Map>
std::vector<Row> falling(const Map& map, const qnn::SimulatedFacts& facts) {
  std::vector<Row> rows;
  for (const auto& [name, sums] : map) rows.push_back({name, in_microseconds(sums, facts)});
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.sums.working_us() > b.sums.working_us();
  });
  return rows;
}

// "model.language_model.layers.3.mlp.gate_proj.weight" -> "mlp.gate_proj".
std::string short_weight(std::string name) {
  for (const char* ending : {".weight", ".bias"}) {
    if (name.ends_with(ending)) name.resize(name.size() - std::string(ending).size());
  }
  // What follows the last component that is a number; a scale's name ends with one.
  std::size_t begin = 0, at = 0;
  while (at < name.size()) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    const std::string component = name.substr(at, end - at);
    const bool number =
        !component.empty() && component.find_first_not_of("0123456789") == std::string::npos;
    if (number && end < name.size()) begin = end + 1;
    at = end + 1;
  }
  name.erase(0, begin);
  while (!name.empty() && (name.back() == '_' || (name.back() >= '0' && name.back() <= '9')))
    name.pop_back();
  return name;
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
  const auto kind = kinds_.find(event.kind);
  add_to(kind != kinds_.end() ? kind->second : kinds_[std::string(event.kind)], event);
  if (event.kind == "Spill") add_to(spilled_, event);
  if (event.kind == "Fill") add_to(filled_, event);
  add_to(operations_[labels_.contains(event.operation) ? event.operation : 0], event);
  keep(event);
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
