#include "profile/overlap.h"

#include <algorithm>

namespace qhx::profile {
namespace {

// No chip has more threads; a file that says otherwise must not take for ever.
constexpr std::size_t kMostActive = 64;

}  // namespace

void Overlap::add(const qnn::SimulatedEvent& event, std::uint32_t label) {
  if (event.unit == qnn::SimulatedUnit::kControl || event.cycles <= 0) return;
  events_.push_back({event.start, event.start + event.cycles, event.operation, label, event.unit});
}

Overlap::Times Overlap::finish(double end, const Share& share) {
  std::sort(events_.begin(), events_.end(),
            [](const Busy& a, const Busy& b) { return a.start < b.start; });
  Times times;
  std::vector<const Busy*> active;
  std::size_t next = 0;
  double now = 0;
  while (now < end) {
    std::erase_if(active, [&](const Busy* busy) { return busy->end <= now; });
    for (; next < events_.size() && events_[next].start <= now; ++next) {
      if (active.size() < kMostActive) active.push_back(&events_[next]);
    }
    double until = next < events_.size() ? std::min(end, events_[next].start) : end;
    for (const Busy* busy : active) until = std::min(until, busy->end);
    const double passed = until - now;
    now = until;
    std::array<std::size_t, qnn::kSimulatedUnits.size()> threads{};
    for (const Busy* busy : active) ++threads[static_cast<std::size_t>(busy->unit)];
    const auto units =
        threads.size() - static_cast<std::size_t>(std::count(threads.begin(), threads.end(), 0u));
    if (units == 0) times.none += passed;
    if (units == 1) times.alone[static_cast<std::size_t>(active.front()->unit)] += passed;
    if (units > 1) times.several += passed;
    for (const Busy* busy : active) {
      const std::size_t among = units * threads[static_cast<std::size_t>(busy->unit)];
      share(busy->operation, busy->label, passed / static_cast<double>(among), units == 1);
    }
  }
  events_.clear();
  return times;
}

}  // namespace qhx::profile
