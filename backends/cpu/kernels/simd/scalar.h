// One float at a time, portable C++: the target that every other is compared with.
#pragma once

#include <cmath>

#include "base/f16.h"

// Loops over the 16 channels of a panel stay loops here; the compiler may vectorise them as a
// whole.
#define QHX_UNROLL

#include "kernels/simd/common.h"

namespace qhx::cpu::QHX_TARGET {

using V = float;
constexpr std::size_t kLanes = 1;
constexpr std::size_t kPanelVectors = kPanelWidth / kLanes;
constexpr int kTileRows = 4;
constexpr int kTilePanels = 1;
constexpr std::size_t kTransposeBlock = 1;

QHX_INLINE V zero() { return 0.0f; }
QHX_INLINE V set1(float x) { return x; }
QHX_INLINE V load(const float* p) { return *p; }
QHX_INLINE void store(float* p, V v) { *p = v; }
QHX_INLINE V load_n(const float*, std::size_t) { return 0.0f; }
QHX_INLINE void store_n(float*, V, std::size_t) {}

QHX_INLINE V add(V a, V b) { return a + b; }
QHX_INLINE V sub(V a, V b) { return a - b; }
QHX_INLINE V mul(V a, V b) { return a * b; }
QHX_INLINE V div(V a, V b) { return a / b; }
QHX_INLINE V fma(V a, V b, V c) { return a * b + c; }
QHX_INLINE V max(V a, V b) { return a > b ? a : b; }
QHX_INLINE V min(V a, V b) { return a < b ? a : b; }
QHX_INLINE V sqrt(V a) { return __builtin_sqrtf(a); }
QHX_INLINE V abs(V a) { return __builtin_fabsf(a); }
QHX_INLINE V neg(V a) { return -a; }
QHX_INLINE V select_less(V a, V b, V x, V y) { return a < b ? x : y; }
QHX_INLINE V round(V a) { return std::nearbyint(a); }
QHX_INLINE V scale_pow2(V x, V n) { return std::ldexp(x, n == n ? static_cast<int>(n) : 0); }
QHX_INLINE float reduce_add(V a) { return a; }
QHX_INLINE void reduce_add4(V a, V b, V c, V d, float* out) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
}
QHX_INLINE float reduce_max(V a) { return a; }

QHX_INLINE V load_f16(const std::uint16_t* p) { return qhx::f16_to_f32(*p); }
QHX_INLINE void store_f16(std::uint16_t* p, V v) { *p = qhx::f32_to_f16(v); }
QHX_INLINE V load_f16_n(const std::uint16_t*, std::size_t) { return 0.0f; }
QHX_INLINE void store_f16_n(std::uint16_t*, V, std::size_t) {}
QHX_INLINE V load_i8(const std::int8_t* p) { return static_cast<V>(*p); }
QHX_INLINE V load_i8_n(const std::int8_t*, std::size_t) { return 0.0f; }
QHX_INLINE void load_i8_quads(const std::uint8_t* p, V (&out)[4][kPanelVectors]) {
  for (std::size_t c = 0; c < kPanelWidth; ++c) {
    for (std::size_t j = 0; j < 4; ++j) out[j][c] = static_cast<std::int8_t>(p[4 * c + j]);
  }
}
QHX_INLINE int nibble(unsigned bits) {
  return static_cast<int>(bits & 7u) - static_cast<int>(bits & 8u);
}
QHX_INLINE void load_i4_octets(const std::uint8_t* p, V (&out)[8][kPanelVectors]) {
  for (std::size_t c = 0; c < kPanelWidth; ++c) {
    for (std::size_t j = 0; j < 4; ++j) {
      out[j][c] = static_cast<float>(nibble(p[4 * c + j]));
      out[4 + j][c] = static_cast<float>(nibble(p[4 * c + j] >> 4u));
    }
  }
}

QHX_INLINE void transpose_block(const float* from, std::size_t, float* to, std::size_t) {
  *to = *from;
}

using Narrow = struct Floats;  // gemm-inl.h

// ---- Integers (integer-inl.h) ----

using I = std::int32_t;
constexpr int kPieceBits = 8;
constexpr std::int32_t kWeightOffset8 = 0, kWeightOffset4 = 0;
constexpr int kIntegerRows1 = 4, kIntegerRows2 = 4;
constexpr std::size_t kIntegerPanels = 1, kStreamedPanels = 1;
constexpr std::size_t kMostIntegerRows = SIZE_MAX, kMostIntegerRows4 = SIZE_MAX;
constexpr bool kWholeInt16 = false;
struct Whole;

QHX_INLINE I broadcast(std::int32_t x) { return x; }
QHX_INLINE I broadcast4(const std::int8_t* p) {
  I four;
  __builtin_memcpy(&four, p, sizeof(four));
  return four;
}
QHX_INLINE I load_ints(const std::uint8_t* p) {
  return broadcast4(reinterpret_cast<const std::int8_t*>(p));
}
QHX_INLINE void store_ints(std::uint8_t* p, I v) { __builtin_memcpy(p, &v, sizeof(v)); }
QHX_INLINE I load_weights_i8(const std::uint8_t* p) {
  return broadcast4(reinterpret_cast<const std::int8_t*>(p));
}
QHX_INLINE void load_weights_i4(const std::uint8_t* p, I& low, I& high) {
  std::int8_t bytes[8];
  for (std::size_t j = 0; j < 4; ++j) {
    bytes[j] = static_cast<std::int8_t>(nibble(p[j]));
    bytes[4 + j] = static_cast<std::int8_t>(nibble(p[j] >> 4u));
  }
  low = broadcast4(bytes);
  high = broadcast4(bytes + 4);
}
QHX_INLINE I dot(I sum, I weights, I x) {
  std::int8_t w[4], a[4];
  __builtin_memcpy(w, &weights, sizeof(w));
  __builtin_memcpy(a, &x, sizeof(a));
  for (std::size_t j = 0; j < 4; ++j) sum += w[j] * a[j];
  return sum;
}
QHX_INLINE I add(I a, I b) { return a + b; }
template <int N>
QHX_INLINE I shift_left(I a) {
  return a * (1 << N);
}
template <int N>
QHX_INLINE I shift_right(I a) {
  return a >> N;
}
QHX_INLINE I sub(I a, I b) { return a - b; }
QHX_INLINE std::int32_t reduce_add(I a) { return a; }
QHX_INLINE I to_ints(V a) { return static_cast<I>(round(a)); }
QHX_INLINE void store_bytes(std::int8_t* p, I a) { *p = static_cast<std::int8_t>(a); }
QHX_INLINE V to_floats(I a) { return static_cast<V>(a); }

}  // namespace qhx::cpu::QHX_TARGET
