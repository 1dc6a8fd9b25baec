// What the x86 targets share: 8 x 8 transposition, and sums in order.
#pragma once

#include <immintrin.h>

#include "kernels/simd/common.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kTransposeBlock = 8;

// The sum as it is at this point. Left alone, the compiler makes trees of integer sums: it computes
// all products first, for which there are not nearly enough registers.
template <class Ints>
QHX_INLINE Ints summed(Ints sum) {
  asm("" : "+x"(sum));
  return sum;
}

QHX_INLINE void transpose_block(const float* from, std::size_t from_stride, float* to,
                                std::size_t to_stride) {
  __m256 r[8], t[8];
  QHX_UNROLL for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * from_stride);
  QHX_UNROLL for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  QHX_UNROLL for (int i = 0; i < 2; ++i) {  // r[4i + c]: column c of both halves, rows 4i … 4i + 3
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
  }
  QHX_UNROLL for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * to_stride, _mm256_permute2f128_ps(r[c], r[4 + c], 0x20));
    _mm256_storeu_ps(to + (c + 4) * to_stride, _mm256_permute2f128_ps(r[c], r[4 + c], 0x31));
  }
}

}  // namespace qhx::cpu::QHX_TARGET
