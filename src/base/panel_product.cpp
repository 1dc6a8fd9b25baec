#include "base/panel_product.h"

#if defined(__x86_64__)
#define QHX_TARGET_AVX2 __attribute__((target("avx2,fma")))
#endif
// Inlined into one function for each instruction set, so that its code is made for that set.
#define QHX_INLINE __attribute__((always_inline)) inline

namespace qhx {
namespace {

using Vector = float __attribute__((vector_size(32)));
// The same in memory, at any address of a float.
using Stored = float __attribute__((vector_size(32), aligned(4), may_alias));
constexpr std::size_t kLanes = 8;

// Six rows by two vectors: twelve accumulators, two of w and one of x fill the sixteen registers of
// AVX2. Per step 12 multiply-adds need 8 loads, so arithmetic is the bound: 192 operations in 6
// cycles.
constexpr std::size_t kRows = 6;

template <std::size_t rows>
QHX_INLINE void multiply_rows(const PanelProduct& p, std::size_t first) {
  Vector left[rows], right[rows];
  for (std::size_t r = 0; r < rows; ++r) {
    const auto* sums = reinterpret_cast<const Stored*>(p.sums + (first + r) * p.sums_stride);
    left[r] = sums[0];
    right[r] = sums[1];
  }
  const float* x = p.x + first * p.x_stride;
  const auto* w = reinterpret_cast<const Stored*>(p.w);
  for (std::size_t k = 0; k < p.depth; ++k, w += 2) {
    const Vector w_left = w[0], w_right = w[1];
    for (std::size_t r = 0; r < rows; ++r) {
      const float value = x[r * p.x_stride + k];
      left[r] += w_left * value;
      right[r] += w_right * value;
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    auto* sums = reinterpret_cast<Stored*>(p.sums + (first + r) * p.sums_stride);
    sums[0] = left[r];
    sums[1] = right[r];
  }
}

QHX_INLINE void multiply(const PanelProduct& p) {
  std::size_t row = 0;
  for (; row + kRows <= p.rows; row += kRows) multiply_rows<kRows>(p, row);
  for (; row < p.rows; ++row) multiply_rows<1>(p, row);
}

#ifdef QHX_TARGET_AVX2
QHX_TARGET_AVX2 void multiply_avx2(const PanelProduct& p) { multiply(p); }

bool has_avx2() {
  static const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return supported;
}
#endif

}  // namespace

static_assert(kPanelWidth == 2 * kLanes);

void multiply_panel(const PanelProduct& product) {
#ifdef QHX_TARGET_AVX2
  if (has_avx2()) return multiply_avx2(product);
#endif
  multiply(product);
}

}  // namespace qhx
