// AVX2 with FMA and F16C: 8 floats.
#pragma once

#include "kernels/simd/x86.h"

namespace qhx::cpu::QHX_TARGET {

using V = __m256;
constexpr std::size_t kLanes = 8;
constexpr std::size_t kPanelVectors = kPanelWidth / kLanes;
constexpr int kTileRows = 6;  // 12 accumulators, 2 columns vectors and a broadcast of 16 registers
constexpr int kTilePanels = 1;

QHX_INLINE V zero() { return _mm256_setzero_ps(); }
QHX_INLINE V set1(float x) { return _mm256_set1_ps(x); }
QHX_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
QHX_INLINE void store(float* p, V v) { _mm256_storeu_ps(p, v); }
QHX_INLINE __m256i first_lanes(std::size_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
QHX_INLINE V load_n(const float* p, std::size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
QHX_INLINE void store_n(float* p, V v, std::size_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }

QHX_INLINE V add(V a, V b) { return _mm256_add_ps(a, b); }
QHX_INLINE V sub(V a, V b) { return _mm256_sub_ps(a, b); }
QHX_INLINE V mul(V a, V b) { return _mm256_mul_ps(a, b); }
QHX_INLINE V div(V a, V b) { return _mm256_div_ps(a, b); }
QHX_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
QHX_INLINE V max(V a, V b) { return _mm256_max_ps(a, b); }
QHX_INLINE V min(V a, V b) { return _mm256_min_ps(a, b); }
QHX_INLINE V sqrt(V a) { return _mm256_sqrt_ps(a); }
QHX_INLINE V abs(V a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
QHX_INLINE V neg(V a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
QHX_INLINE V select_less(V a, V b, V x, V y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
QHX_INLINE V round(V a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// In two steps, each with an exponent that a normal float has.
QHX_INLINE V scale_pow2(V x, V n) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i first = _mm256_srai_epi32(whole, 1);
  const __m256i second = _mm256_sub_epi32(whole, first);
  x = mul(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23)));
  return mul(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(second, bias), 23)));
}
QHX_INLINE float reduce_add(V a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
QHX_INLINE void reduce_add4(V a, V b, V c, V d, float* out) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  const __m256 all =
      _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
QHX_INLINE float reduce_max(V a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

QHX_INLINE V load_f16(const std::uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
QHX_INLINE void store_f16(std::uint16_t* p, V v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
QHX_INLINE V load_f16_n(const std::uint16_t* p, std::size_t n) {
  alignas(16) std::uint16_t all[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return load_f16(all);
}
QHX_INLINE void store_f16_n(std::uint16_t* p, V v, std::size_t n) {
  alignas(16) std::uint16_t all[kLanes];
  store_f16(all, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
}
QHX_INLINE V load_i8(const std::int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
QHX_INLINE V load_i8_n(const std::int8_t* p, std::size_t n) {
  std::int8_t all[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return load_i8(all);
}
QHX_INLINE void load_i8_quads(const std::uint8_t* p, V (&out)[4][kPanelVectors]) {
  QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
    const __m256i quads = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + v * 4 * kLanes));
    QHX_UNROLL for (int j = 0; j < 4; ++j) {
      out[j][v] = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(quads, 24 - 8 * j), 24));
    }
  }
}
QHX_INLINE void load_i4_octets(const std::uint8_t* p, V (&out)[8][kPanelVectors]) {
  QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
    const __m256i octets = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + v * 4 * kLanes));
    QHX_UNROLL for (int j = 0; j < 4; ++j) {
      const __m256i low = _mm256_slli_epi32(octets, 28 - 8 * j);
      const __m256i high = _mm256_slli_epi32(octets, 24 - 8 * j);
      out[j][v] = _mm256_cvtepi32_ps(_mm256_srai_epi32(low, 28));
      out[4 + j][v] = _mm256_cvtepi32_ps(_mm256_srai_epi32(high, 28));
    }
  }
}

using Narrow = struct Floats;  // gemm-inl.h

// ---- Integers (integer-inl.h) ----
//
// Products of two bytes are summed in pairs in 16 bits: weights of 8 bits (255) leave 7 bits for a
// piece of an activation (255 * 64 * 2 < 2^15).

using I = __m256i;
constexpr int kPieceBits = 7;
constexpr std::int32_t kWeightOffset8 = 128, kWeightOffset4 = 8;
constexpr int kIntegerRows1 = 2, kIntegerRows2 = 1;
constexpr std::size_t kIntegerPanels = 1, kStreamedPanels = 1;
// To take nibbles apart for each few rows costs what the wider products gain.
constexpr std::size_t kMostIntegerRows = SIZE_MAX, kMostIntegerRows4 = 4;
constexpr bool kWholeInt16 = true;

QHX_INLINE I broadcast(std::int32_t x) { return _mm256_set1_epi32(x); }
QHX_INLINE I broadcast4(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm256_set1_epi32(four);
}
QHX_INLINE I load_ints(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
QHX_INLINE void store_ints(std::uint8_t* p, I v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
QHX_INLINE I load_weights_i8(const std::uint8_t* p) {
  return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                          _mm256_set1_epi8(-128));
}
QHX_INLINE void load_weights_i4(const std::uint8_t* p, I& low, I& high) {
  const __m256i nibbles = _mm256_set1_epi8(15);
  const __m256i both = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                                        _mm256_set1_epi8(-120));
  low = _mm256_and_si256(both, nibbles);
  high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibbles);
}
QHX_INLINE I dot(I sum, I weights, I x) {
  const __m256i pairs = _mm256_maddubs_epi16(weights, x);
  return summed(_mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
}
QHX_INLINE I add(I a, I b) { return _mm256_add_epi32(a, b); }
template <int N>
QHX_INLINE I shift_left(I a) {
  return _mm256_slli_epi32(a, N);
}
template <int N>
QHX_INLINE I shift_right(I a) {
  return _mm256_srai_epi32(a, N);
}
QHX_INLINE I sub(I a, I b) { return _mm256_sub_epi32(a, b); }
QHX_INLINE std::int32_t reduce_add(I a) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}
QHX_INLINE I to_ints(V a) { return _mm256_cvtps_epi32(a); }
QHX_INLINE __m128i to_shorts(I a) {
  return _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}
QHX_INLINE void store_bytes(std::int8_t* p, I a) {
  const __m128i shorts = to_shorts(a);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
}
QHX_INLINE V to_floats(I a) { return _mm256_cvtepi32_ps(a); }

// Products of 16 bits (integer_whole-inl.h).
struct Whole {
  using Ints = __m256i;
  static constexpr int kRows = 4;

  QHX_INLINE Ints widen(const std::uint8_t* p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  QHX_INLINE void store(std::int8_t* p, I a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_shorts(a));
  }
  QHX_INLINE Ints none() { return _mm256_setzero_si256(); }
  // Four k of four channels, 16 bytes.
  QHX_INLINE Ints load_i8(const std::uint8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  // The same from nibbles: the first four k are the low ones, the other four the high ones.
  QHX_INLINE Ints load_i4_low(const std::uint8_t* p) {
    return _mm256_srai_epi16(_mm256_slli_epi16(widen(p), 12), 12);
  }
  QHX_INLINE Ints load_i4_high(const std::uint8_t* p) {
    return _mm256_srai_epi16(_mm256_slli_epi16(widen(p), 8), 12);
  }
  QHX_INLINE Ints broadcast_four(const std::int16_t* p) {
    long long four;
    __builtin_memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi64x(four);
  }
  QHX_INLINE Ints dot(Ints sum, Ints weights, Ints x) {
    return summed(_mm256_add_epi32(sum, _mm256_madd_epi16(weights, x)));
  }
  QHX_INLINE V to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
  // [a0 + a1, a2 + a3, …, b0 + b1, …]
  QHX_INLINE V add_neighbours(V a, V b) {
    const __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(a, b));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0b11011000));
  }
  // [s0, s0, s1, s1, …], and those of the upper half.
  QHX_INLINE void twice_each(V s, V& lower, V& upper) {
    lower = _mm256_permutevar8x32_ps(s, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    upper = _mm256_permutevar8x32_ps(s, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
  }
};

}  // namespace qhx::cpu::QHX_TARGET
