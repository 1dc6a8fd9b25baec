// AArch64 NEON as every ARMv8.0 core has it: 4 floats; halves are only converted (FCVTL, FCVTN).
#pragma once

#include <arm_neon.h>

#include "kernels/simd/common.h"

namespace qhx::cpu::QHX_TARGET {

using V = float32x4_t;
constexpr std::size_t kLanes = 4;
constexpr std::size_t kPanelVectors = kPanelWidth / kLanes;
constexpr int kTileRows = 6;  // 24 accumulators, 4 column vectors and a broadcast of 32 registers
constexpr int kTilePanels = 1;
constexpr std::size_t kTransposeBlock = 4;

QHX_INLINE V zero() { return vdupq_n_f32(0.0f); }
QHX_INLINE V set1(float x) { return vdupq_n_f32(x); }
QHX_INLINE V load(const float* p) { return vld1q_f32(p); }
QHX_INLINE void store(float* p, V v) { vst1q_f32(p, v); }
QHX_INLINE V load_n(const float* p, std::size_t n) {
  float all[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
}
QHX_INLINE void store_n(float* p, V v, std::size_t n) {
  float all[kLanes];
  store(all, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
}

QHX_INLINE V add(V a, V b) { return vaddq_f32(a, b); }
QHX_INLINE V sub(V a, V b) { return vsubq_f32(a, b); }
QHX_INLINE V mul(V a, V b) { return vmulq_f32(a, b); }
QHX_INLINE V div(V a, V b) { return vdivq_f32(a, b); }
QHX_INLINE V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
QHX_INLINE V select_less(V a, V b, V x, V y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
QHX_INLINE V max(V a, V b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
QHX_INLINE V min(V a, V b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
QHX_INLINE V sqrt(V a) { return vsqrtq_f32(a); }
QHX_INLINE V abs(V a) { return vabsq_f32(a); }
QHX_INLINE V neg(V a) { return vnegq_f32(a); }
QHX_INLINE V round(V a) { return vrndnq_f32(a); }
// In two steps, each with an exponent that a normal float has.
QHX_INLINE V scale_pow2(V x, V n) {
  const int32x4_t bias = vdupq_n_s32(127);
  const int32x4_t whole = vcvtq_s32_f32(n);
  const int32x4_t first = vshrq_n_s32(whole, 1);
  const int32x4_t second = vsubq_s32(whole, first);
  x = mul(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(first, bias), 23)));
  return mul(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(second, bias), 23)));
}
QHX_INLINE float reduce_add(V a) { return vaddvq_f32(a); }
QHX_INLINE void reduce_add4(V a, V b, V c, V d, float* out) {
  store(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
QHX_INLINE float reduce_max(V a) { return vmaxvq_f32(a); }

QHX_INLINE V load_f16(const std::uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
QHX_INLINE void store_f16(std::uint16_t* p, V v) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
QHX_INLINE V load_f16_n(const std::uint16_t* p, std::size_t n) {
  std::uint16_t all[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return load_f16(all);
}
QHX_INLINE void store_f16_n(std::uint16_t* p, V v, std::size_t n) {
  std::uint16_t all[kLanes];
  store_f16(all, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = all[i];
}

QHX_INLINE V load_i8(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  const int16x8_t halves = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(halves)));
}
QHX_INLINE V load_i8_n(const std::int8_t* p, std::size_t n) {
  std::int8_t all[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) all[i] = p[i];
  return load_i8(all);
}

// What is left of each word after these shifts, the sign following.
template <int kUp, int kDown>
QHX_INLINE V field(int32x4_t words) {
  return vcvtq_f32_s32(vshrq_n_s32(kUp == 0 ? words : vshlq_n_s32(words, kUp), kDown));
}
QHX_INLINE void load_i8_quads(const std::uint8_t* p, V (&out)[4][kPanelVectors]) {
  QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
    const int32x4_t quads = vreinterpretq_s32_u8(vld1q_u8(p + v * 4 * kLanes));
    out[0][v] = field<24, 24>(quads);
    out[1][v] = field<16, 24>(quads);
    out[2][v] = field<8, 24>(quads);
    out[3][v] = field<0, 24>(quads);
  }
}
QHX_INLINE void load_i4_octets(const std::uint8_t* p, V (&out)[8][kPanelVectors]) {
  QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
    const int32x4_t octets = vreinterpretq_s32_u8(vld1q_u8(p + v * 4 * kLanes));
    out[0][v] = field<28, 28>(octets);
    out[1][v] = field<20, 28>(octets);
    out[2][v] = field<12, 28>(octets);
    out[3][v] = field<4, 28>(octets);
    out[4][v] = field<24, 28>(octets);
    out[5][v] = field<16, 28>(octets);
    out[6][v] = field<8, 28>(octets);
    out[7][v] = field<0, 28>(octets);
  }
}

QHX_INLINE void transpose_block(const float* from, std::size_t from_stride, float* to,
                                std::size_t to_stride) {
  const float32x4_t a = load(from), b = load(from + from_stride);
  const float32x4_t c = load(from + 2 * from_stride), d = load(from + 3 * from_stride);
  const float32x4_t ab_even = vtrn1q_f32(a, b), ab_odd = vtrn2q_f32(a, b);
  const float32x4_t cd_even = vtrn1q_f32(c, d), cd_odd = vtrn2q_f32(c, d);
  store(to, vcombine_f32(vget_low_f32(ab_even), vget_low_f32(cd_even)));
  store(to + to_stride, vcombine_f32(vget_low_f32(ab_odd), vget_low_f32(cd_odd)));
  store(to + 2 * to_stride, vcombine_f32(vget_high_f32(ab_even), vget_high_f32(cd_even)));
  store(to + 3 * to_stride, vcombine_f32(vget_high_f32(ab_odd), vget_high_f32(cd_odd)));
}

using Narrow = struct Floats;  // gemm-inl.h

// ---- Integers (integer-inl.h) ----

using I = int32x4_t;
constexpr int kPieceBits = 8;
constexpr std::int32_t kWeightOffset8 = 0, kWeightOffset4 = 0;
constexpr int kIntegerRows1 = 2, kIntegerRows2 = 1;
constexpr std::size_t kIntegerPanels = 1, kStreamedPanels = 1;
#if defined(__ARM_FEATURE_DOTPROD)
// By the number of instructions (bench/instructions): three quarters of those in f32.
constexpr std::size_t kMostIntegerRows = SIZE_MAX, kMostIntegerRows4 = 4;
#else
constexpr std::size_t kMostIntegerRows = 4, kMostIntegerRows4 = 4;
#endif
constexpr bool kWholeInt16 = false;
struct Whole;

QHX_INLINE I broadcast(std::int32_t x) { return vdupq_n_s32(x); }
QHX_INLINE I broadcast4(const std::int8_t* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return vdupq_n_s32(four);
}
QHX_INLINE I load_ints(const std::uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
QHX_INLINE void store_ints(std::uint8_t* p, I v) { vst1q_u8(p, vreinterpretq_u8_s32(v)); }
QHX_INLINE I load_weights_i8(const std::uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
QHX_INLINE void load_weights_i4(const std::uint8_t* p, I& low, I& high) {
  const int8x16_t both = vreinterpretq_s8_u8(vld1q_u8(p));
  low = vreinterpretq_s32_s8(vshrq_n_s8(vshlq_n_s8(both, 4), 4));
  high = vreinterpretq_s32_s8(vshrq_n_s8(both, 4));
}
QHX_INLINE I dot(I sum, I weights, I x) {
  const int8x16_t w = vreinterpretq_s8_s32(weights), a = vreinterpretq_s8_s32(x);
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, w, a);
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, a));
  return vaddq_s32(sum, vpaddq_s32(low, high));
#endif
}
QHX_INLINE I add(I a, I b) { return vaddq_s32(a, b); }
template <int N>
QHX_INLINE I shift_left(I a) {
  return vshlq_n_s32(a, N);
}
template <int N>
QHX_INLINE I shift_right(I a) {
  return vshrq_n_s32(a, N);
}
QHX_INLINE I sub(I a, I b) { return vsubq_s32(a, b); }
QHX_INLINE std::int32_t reduce_add(I a) { return vaddvq_s32(a); }
QHX_INLINE I to_ints(V a) { return vcvtnq_s32_f32(a); }
QHX_INLINE void store_bytes(std::int8_t* p, I a) {
  const int16x4_t shorts = vmovn_s32(a);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(shorts, shorts));
  vst1_lane_s32(reinterpret_cast<std::int32_t*>(p), vreinterpret_s32_s8(bytes), 0);
}
QHX_INLINE V to_floats(I a) { return vcvtq_f32_s32(a); }

}  // namespace qhx::cpu::QHX_TARGET
