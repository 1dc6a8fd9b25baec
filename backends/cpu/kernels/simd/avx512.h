// AVX-512 F, BW, VL and DQ with F16C: 16 floats.
#pragma once

#include "kernels/simd/x86.h"

namespace qhx::cpu::QHX_TARGET {

using V = __m512;
constexpr std::size_t kLanes = 16;
constexpr std::size_t kPanelVectors = kPanelWidth / kLanes;
constexpr int kTileRows = 12;  // 24 accumulators and 2 column vectors of 32 registers
constexpr int kTilePanels = 2;

QHX_INLINE V zero() { return _mm512_setzero_ps(); }
QHX_INLINE V set1(float x) { return _mm512_set1_ps(x); }
QHX_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
QHX_INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
QHX_INLINE __mmask16 first_lanes(std::size_t n) {
  return static_cast<__mmask16>((1u << static_cast<unsigned>(n)) - 1);
}
QHX_INLINE V load_n(const float* p, std::size_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
QHX_INLINE void store_n(float* p, V v, std::size_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

QHX_INLINE V add(V a, V b) { return _mm512_add_ps(a, b); }
QHX_INLINE V sub(V a, V b) { return _mm512_sub_ps(a, b); }
QHX_INLINE V mul(V a, V b) { return _mm512_mul_ps(a, b); }
QHX_INLINE V div(V a, V b) { return _mm512_div_ps(a, b); }
QHX_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
QHX_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
QHX_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
QHX_INLINE V sqrt(V a) { return _mm512_sqrt_ps(a); }
QHX_INLINE V abs(V a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
QHX_INLINE V neg(V a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
QHX_INLINE V select_less(V a, V b, V x, V y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
QHX_INLINE V round(V a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
QHX_INLINE V scale_pow2(V x, V n) { return _mm512_scalef_ps(x, n); }
QHX_INLINE float reduce_add(V a) { return _mm512_reduce_add_ps(a); }
QHX_INLINE void reduce_add4(V a, V b, V c, V d, float* out) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 all =
      _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
QHX_INLINE float reduce_max(V a) { return _mm512_reduce_max_ps(a); }

QHX_INLINE V load_f16(const std::uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
QHX_INLINE void store_f16(std::uint16_t* p, V v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
QHX_INLINE V load_f16_n(const std::uint16_t* p, std::size_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
QHX_INLINE void store_f16_n(std::uint16_t* p, V v, std::size_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
QHX_INLINE V load_i8(const std::int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
QHX_INLINE V load_i8_n(const std::int8_t* p, std::size_t n) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p)));
}
QHX_INLINE void load_i8_quads(const std::uint8_t* p, V (&out)[4][kPanelVectors]) {
  const __m512i quads = _mm512_loadu_si512(p);
  out[0][0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(quads, 24), 24));
  out[1][0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(quads, 16), 24));
  out[2][0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(quads, 8), 24));
  out[3][0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(quads, 24));
}

// A permutation looks at the low four bits of its index alone: it is a table of 16 floats.
QHX_INLINE void load_i4_octets(const std::uint8_t* p, V (&out)[8][kPanelVectors]) {
  const __m512 value = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
  const __m512i octets = _mm512_loadu_si512(p);
  QHX_UNROLL for (unsigned j = 0; j < 4; ++j) {
    out[j][0] = _mm512_permutexvar_ps(_mm512_srli_epi32(octets, 8 * j), value);
    out[4 + j][0] = _mm512_permutexvar_ps(_mm512_srli_epi32(octets, 8 * j + 4), value);
  }
}

#if defined(__AVX512BF16__)
// Pairs of bf16 in the place of a float (gemm-inl.h).
struct Narrow {
  QHX_INLINE V add_product(V sum, V a, V b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  // [a0, a1], [a2, a3], … [b0, b1], …
  QHX_INLINE V pair_adjacent(V a, V b) { return (V)_mm512_cvtne2ps_pbh(b, a); }
  // [a0, b0], [a1, b1], …
  QHX_INLINE V pair_lanes(V a, V b) {
    const __m512i turn =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(turn, (__m512i)_mm512_cvtne2ps_pbh(b, a)));
  }
};
#else
using Narrow = struct Floats;  // gemm-inl.h
#endif

// ---- Integers (integer-inl.h) ----
//
// Without VNNI, products of two bytes are summed in pairs in 16 bits: weights of 8 bits (255) leave
// 7 bits for a piece of an activation (255 * 64 * 2 < 2^15).

using I = __m512i;
constexpr std::int32_t kWeightOffset8 = 128, kWeightOffset4 = 8;

QHX_INLINE I broadcast(std::int32_t x) { return _mm512_set1_epi32(x); }
QHX_INLINE I broadcast4(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm512_set1_epi32(four);
}
QHX_INLINE I load_ints(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
QHX_INLINE void store_ints(std::uint8_t* p, I v) { _mm512_storeu_si512(p, v); }
QHX_INLINE I load_weights_i8(const std::uint8_t* p) {
  return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128));
}
QHX_INLINE void load_weights_i4(const std::uint8_t* p, I& low, I& high) {
  const __m512i nibbles = _mm512_set1_epi8(15);
  const __m512i both = _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-120));
  low = _mm512_and_si512(both, nibbles);
  high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibbles);
}
#if defined(__AVX512VNNI__)
constexpr int kPieceBits = 8;
constexpr int kIntegerRows1 = 3, kIntegerRows2 = 2;
constexpr std::size_t kIntegerPanels = 4, kStreamedPanels = 2;
constexpr std::size_t kMostIntegerRows = SIZE_MAX, kMostIntegerRows4 = SIZE_MAX;
constexpr bool kWholeInt16 = false;
struct Whole;
QHX_INLINE I dot(I sum, I weights, I x) { return _mm512_dpbusd_epi32(sum, weights, x); }
#else
constexpr int kPieceBits = 7;
constexpr int kIntegerRows1 = 6, kIntegerRows2 = 4;
constexpr std::size_t kIntegerPanels = 2, kStreamedPanels = 2;
constexpr std::size_t kMostIntegerRows = 4, kMostIntegerRows4 = 4;
constexpr bool kWholeInt16 = false;
struct Whole;
QHX_INLINE I dot(I sum, I weights, I x) {
  const __m512i pairs = _mm512_maddubs_epi16(weights, x);
  return summed(_mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))));
}
#endif
QHX_INLINE I add(I a, I b) { return _mm512_add_epi32(a, b); }
template <int N>
QHX_INLINE I shift_left(I a) {
  return _mm512_slli_epi32(a, N);
}
template <int N>
QHX_INLINE I shift_right(I a) {
  return _mm512_srai_epi32(a, N);
}
QHX_INLINE I sub(I a, I b) { return _mm512_sub_epi32(a, b); }
QHX_INLINE std::int32_t reduce_add(I a) { return _mm512_reduce_add_epi32(a); }
QHX_INLINE I to_ints(V a) { return _mm512_cvtps_epi32(a); }
QHX_INLINE void store_bytes(std::int8_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
}
QHX_INLINE V to_floats(I a) { return _mm512_cvtepi32_ps(a); }

}  // namespace qhx::cpu::QHX_TARGET
