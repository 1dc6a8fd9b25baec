#include "vision/stage_f_kernel.h"

#include <cstring>

#if defined(__x86_64__)
#define QHX_TARGET_AVX2 __attribute__((target("avx2,fma")))
#endif
// Inlined into one function for each instruction set, so that its code is made for that set.
#define QHX_INLINE __attribute__((always_inline)) inline

namespace qhx::vision {
namespace {

using Vector = float __attribute__((vector_size(32)));
constexpr std::size_t kLanes = 8;

// Six rows by two vectors: twelve accumulators, two of w and one of x fill the sixteen registers of
// AVX2. Per step 12 multiply-adds need 8 loads, so arithmetic is the bound: 192 operations in 6
// cycles.
constexpr std::size_t kRows = 6;

template <std::size_t rows>
QHX_INLINE void multiply_rows(const PanelProduct& p, std::size_t first) {
  Vector sums[rows][2];
  for (std::size_t r = 0; r < rows; ++r)
    std::memcpy(sums[r], p.sums + (first + r) * p.sums_stride, sizeof sums[r]);
  const float* x = p.x + first * p.x_stride;
  for (std::size_t k = 0; k < p.depth; ++k) {
    Vector w[2];
    std::memcpy(w, p.w + k * 2 * kLanes, sizeof w);
    for (std::size_t r = 0; r < rows; ++r) {
      const float value = x[r * p.x_stride + k];
      sums[r][0] += w[0] * value;
      sums[r][1] += w[1] * value;
    }
  }
  for (std::size_t r = 0; r < rows; ++r)
    std::memcpy(p.sums + (first + r) * p.sums_stride, sums[r], sizeof sums[r]);
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

}  // namespace qhx::vision
