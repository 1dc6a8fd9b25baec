#include "forge/quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/f16.h"

namespace qhx::quant {
namespace {

constexpr float kSmallestNormalHalf = 0x1p-14f;

// The next 16-bit float: rounded down, the largest weight would pass the limit.
float round_up_to_half(float scale) {
  std::uint16_t half = f32_to_f16(scale);
  if (f16_to_f32(half) < scale) ++half;
  return f16_to_f32(half);
}

float channel_scale(float scale) {
  if (scale < kSmallestNormalHalf) return scale;
  const float rounded = round_up_to_half(scale);
  return std::isfinite(rounded) ? rounded : scale;
}

// One group of `count` weights; returns its scale, which `round_scale` makes one that is stored.
float quantize_group(const float* w, std::size_t count, int limit, float (*round_scale)(float),
                     std::int8_t* q) {
  float largest = 0.0f;
  for (std::size_t i = 0; i < count; ++i) {
    QHX_DCHECK(std::isfinite(w[i]));
    largest = std::max(largest, std::abs(w[i]));
  }
  float scale = largest / static_cast<float>(limit);
  if (scale > 0) scale = round_scale(scale);
  if (scale == 0.0f) {  // all zero, or so small that no float scale tells them from zero
    std::fill_n(q, count, std::int8_t{0});
    return 0.0f;
  }
  const auto bound = static_cast<float>(limit);
  for (std::size_t i = 0; i < count; ++i) {
    // nearbyint rounds half to even in the default rounding mode; a subnormal scale can push past
    // the limit.
    q[i] = static_cast<std::int8_t>(std::clamp(std::nearbyint(w[i] / scale), -bound, bound));
  }
  return scale;
}

void quantize(const float* w, std::size_t groups, std::size_t size, int limit, std::int8_t* q,
              float* scales, float (*round_scale)(float) = channel_scale) {
  for (std::size_t g = 0; g < groups; ++g)
    scales[g] = quantize_group(w + g * size, size, limit, round_scale, q + g * size);
}

}  // namespace

void quantize_per_channel(const float* w, std::size_t out, std::size_t in, std::int8_t* q,
                          float* scales) {
  quantize(w, out, in, kInt8Limit, q, scales);
}

void quantize_per_channel_4bit(const float* w, std::size_t out, std::size_t in, std::int8_t* q,
                               float* scales) {
  quantize(w, out, in, kInt4Limit, q, scales);
}

void quantize_grouped_4bit(const float* w, std::size_t out, std::size_t in, std::size_t group_size,
                           std::int8_t* q, float* scales) {
  QHX_CHECK(group_size > 0 && in % group_size == 0);
  quantize(w, out * (in / group_size), group_size, kInt4Limit, q, scales, group_scale);
}

void dequantize(const std::int8_t* q, const float* scales, std::size_t out, std::size_t in,
                std::size_t group_size, float* w) {
  QHX_CHECK(group_size > 0 && in % group_size == 0);
  for (std::size_t g = 0; g < out * (in / group_size); ++g) {
    for (std::size_t i = g * group_size; i < (g + 1) * group_size; ++i)
      w[i] = static_cast<float>(q[i]) * scales[g];
  }
}

void round_to_f16(std::span<float> w) {
  for (float& value : w) value = f16_to_f32(f32_to_f16(value));
}

void round_to_int8_per_channel(float* w, std::size_t out, std::size_t in) {
  std::vector<std::int8_t> q(in);
  for (std::size_t o = 0; o < out; ++o) {
    float* row = w + o * in;
    float scale = 0;
    quantize_per_channel(row, 1, in, q.data(), &scale);
    dequantize(q.data(), &scale, 1, in, in, row);
  }
}

void round_to_grouped_4bit(float* w, std::size_t out, std::size_t in, std::size_t group_size) {
  std::vector<std::int8_t> q(in);
  std::vector<float> scales(in / group_size);
  for (std::size_t o = 0; o < out; ++o) {
    float* row = w + o * in;
    quantize_grouped_4bit(row, 1, in, group_size, q.data(), scales.data());
    dequantize(q.data(), scales.data(), 1, in, group_size, row);
  }
}

float group_scale(float scale) {
  QHX_DCHECK(scale > 0);
  return std::min(round_up_to_half(scale), 65504.0f);
}

}  // namespace qhx::quant
