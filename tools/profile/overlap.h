// How a graph's time is divided among operations that overlap: an operation that is busy alone is
// in the way of the whole graph, one that works beside others may cost nothing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "qnn/simulated_trace.h"

namespace qhx::profile {

class Overlap {
 public:
  // `label` is what finish() will call the event.
  void add(const qnn::SimulatedEvent& event, std::uint32_t label);

  struct Times {
    // Cycles in which this unit alone is busy, by qnn::SimulatedUnit; control counts as waiting.
    std::array<double, qnn::kSimulatedUnits.size()> alone{};
    double several = 0, none = 0;
  };
  // Every moment belongs to the units that are busy, in equal parts, and a unit's part to its
  // threads. Called with the events' parts, which add up to all but Times::none; `alone`: no other
  // unit was busy. Uses the events up.
  using Share =
      std::function<void(std::uint32_t operation, std::uint32_t label, double cycles, bool alone)>;
  Times finish(double end, const Share& share);

 private:
  struct Busy {
    double start, end;
    std::uint32_t operation, label;
    qnn::SimulatedUnit unit;
  };
  std::vector<Busy> events_;
};

}  // namespace qhx::profile
