// Where the tensors of a graph live while it runs.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "graph/ir.h"

namespace qhx::cpu {

// A tensor's place: that of its root, which other tensors may share (Reshape makes no copy).
struct MemoryPlan {
  std::vector<int> root;                    // by tensor
  std::vector<std::uint64_t> arena_offset;  // by tensor; of roots that are native
  std::uint64_t arena_bytes = 0;
};

// Places tensors so that those alive at the same time do not overlap; others share memory. The
// graph is executable. kOutOfRange if the arena would be larger than kMaxArenaBytes.
Result<MemoryPlan> plan_memory(const Graph& graph);

inline constexpr std::uint64_t kMaxArenaBytes = std::uint64_t{1} << 36;

}  // namespace qhx::cpu
