// Products of matrices in float32, a panel of 16 columns at a time: the inner loop of the patch
// embedding and of rounding weights. (Graphs have the CPU library's kernels.)
#pragma once

#include <cstddef>

namespace qhx {

inline constexpr std::size_t kPanelWidth = 16;

// sums[r, 0..16) += sum over k of x[r, k] * w[k, 0..16), r < rows, k < depth. Float32; rows of x
// and sums are `x_stride` and `sums_stride` floats apart.
struct PanelProduct {
  const float* x = nullptr;
  std::size_t x_stride = 0;
  std::size_t rows = 0;
  const float* w = nullptr;
  std::size_t depth = 0;
  float* sums = nullptr;
  std::size_t sums_stride = 0;
};

// Single-threaded. Uses AVX2 and FMA where the processor has them.
void multiply_panel(const PanelProduct& product);

}  // namespace qhx
