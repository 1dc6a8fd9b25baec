// Times of the last execution, per node.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "graph/program.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::abi {

// Thread-safe, except that what the getters return is replaced by the next execution with this
// profile.
struct Profile {
  struct Event {
    std::string name;
    std::uint64_t microseconds = 0;
  };
  bool per_node = false;
  std::mutex mutex;
  std::vector<Event> events;  // the execution, then its nodes
  std::vector<std::uint64_t> ids;

  // Replaces the events by those of one execution.
  void record(const std::string& graph, std::uint64_t total_microseconds,
              const std::vector<StepTime>& steps);
};

}  // namespace qhx::cpu::abi
