// Memory for quantized activations.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/kernel_table.h"

namespace qhx::cpu {

// Whether linear_integer takes these weights.
constexpr bool has_integer_form(WeightType type, std::size_t group) {
  return (type == WeightType::kI8 || type == WeightType::kI4) && group % kIntegerGroup == 0;
}

// Scratch for linear, and for linear_integer where it takes these weights.
inline std::size_t linear_scratch_bytes(const KernelTable& kernels, WeightType type,
                                        std::size_t group, std::size_t k) {
  const std::size_t integers = has_integer_form(type, group) ? kernels.integer_scratch_bytes(k) : 0;
  return std::max(kernels.gemm_scratch_bytes, integers);
}

constexpr std::size_t integer_groups(std::size_t k) {
  return (k + kIntegerGroup - 1) / kIntegerGroup;
}

// For `rows` rows of `k` values.
constexpr std::size_t quantized_bytes(std::size_t rows, std::size_t k, int levels) {
  return rows * integer_groups(k) *
         (sizeof(float) +
          static_cast<std::size_t>(levels) * (sizeof(std::int32_t) + kIntegerGroup));
}

// Of `memory`, which has that many bytes and is aligned for floats.
inline IntegerRows place_quantized(std::byte* memory, std::size_t rows, std::size_t k, int levels) {
  const std::size_t groups = integer_groups(k), all = rows * groups;
  auto* const scales = reinterpret_cast<float*>(memory);
  auto* const sums = reinterpret_cast<std::int32_t*>(scales + all);
  return {.k = k,
          .groups = groups,
          .levels = levels,
          .values = reinterpret_cast<std::int8_t*>(sums + all * static_cast<std::size_t>(levels)),
          .scales = scales,
          .sums = sums};
}

}  // namespace qhx::cpu
