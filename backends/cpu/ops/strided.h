// Walks over tensors whose dimensions are permuted, cut, repeated or broadcast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace qhx::cpu {

// Row-major strides in elements.
std::vector<std::int64_t> dense_strides(const Dims& dims);

// A dense output of `dims`, each element of which comes from source offset + sum(index * stride).
// Strides may be 0 (repetition) or negative.
struct StridedWalk {
  std::vector<std::uint64_t> dims;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
};

// Merges neighbouring dimensions that are walked as one, and drops those of size 1. At least one
// dimension is left.
StridedWalk simplify(const StridedWalk& walk);

// Copies by the walk. Elements of element_bytes (1, 2 or 4); with to_f16, f32 elements are written
// as f16.
RunFunction strided_copy(int from, int to, const StridedWalk& walk, std::size_t element_bytes,
                         bool to_f16 = false);

}  // namespace qhx::cpu
