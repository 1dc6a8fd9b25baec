// Fills the cosine and sine inputs of a text graph.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace qhx::runtime {

// Tables for head_dim / 2 pairs, or for head_dim values where a graph declares the duplicated width
// (the half twice). Interleaved M-RoPE as vision/positions.h defines it. fill() allocates nothing.
class RotaryTable {
 public:
  RotaryTable() = default;
  // An empty section (all zero) means plain RoPE: every pair turns by time.
  RotaryTable(double theta, std::array<int, 3> section, std::size_t head_dim);

  // One row: width is head_dim / 2 or head_dim; cos and sin have `width` elements.
  void fill(std::array<std::int32_t, 3> position, std::span<float> cos, std::span<float> sin) const;

 private:
  std::vector<float> frequency_;    // [head_dim / 2]
  std::vector<std::uint8_t> axis_;  // [head_dim / 2]: 0 time, 1 height, 2 width
};

}  // namespace qhx::runtime
