// The loops behind all_peaks(). Each keeps as many independent sums as hide the latency of its
// instruction on any core of today, and passes them through an empty asm each round, so that
// nothing is folded or hoisted.
#pragma once

#include "machine_limits/limits.h"

namespace qhx::bench {

// Sums all bytes of `data` (64-byte aligned, a multiple of 512), as fast as loads issue.
using ReadFunction = std::uint64_t (*)(const std::byte* data, std::size_t bytes);
ReadFunction best_read();

}  // namespace qhx::bench
