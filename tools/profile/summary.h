// Adds up the events of a simulated graph.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "forge/bundle/numbered_operations.h"
#include "profile/overlap.h"
#include "profile/report.h"
#include "qnn/simulated_trace.h"

namespace qhx::profile {

class Summary {
 public:
  explicit Summary(const forge::NumberedOperations& operations);

  void add(const qnn::SimulatedEvent& event);
  // Fills in what comes from the events and the facts.
  void finish(qnn::SimulatedFacts facts, GraphProfile& to);

 private:
  // An operation under the names that rows have; sums are kept by number.
  struct Labels {
    std::string type, place, part, full;
  };
  struct KeptSpan {
    double start, cycles;
    std::int64_t track;
    std::uint32_t operation;
    std::string kind;
  };
  std::uint32_t kind_number(std::string_view kind);
  void keep(const qnn::SimulatedEvent& event);

  std::unordered_map<std::uint32_t, Labels> labels_;
  Sums total_;
  Sums spilled_, filled_;
  std::map<std::string, std::uint32_t, std::less<>> kind_numbers_;
  std::vector<Row> kinds_;
  Overlap overlap_;
  std::unordered_map<std::uint32_t, Sums> operations_;
  std::vector<KeptSpan> longest_;  // a heap, the shortest on top
};

}  // namespace qhx::profile
