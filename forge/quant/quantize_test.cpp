#include "forge/quant/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/f16.h"

namespace qhx::quant {
namespace {

std::vector<float> random_weights(std::size_t count) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::vector<float> w(count);
  for (float& value : w) value = normal(random);
  return w;
}

TEST(Quantize, LargestMagnitudeBecomesTheLimitAndTiesGoToEven) {
  const float w[] = {12.7f, -12.7f, 0.25f, 0.0f, /* scale 2: */ 254.0f, 1.0f, 3.0f, -5.0f};
  std::int8_t q[8];
  float scales[2];
  quantize_per_channel(w, 2, 4, q, scales);
  EXPECT_EQ(scales[0], 0x1.99cp-4f);  // the half above 12.7 / 127
  EXPECT_EQ(q[0], 127);
  EXPECT_EQ(q[1], -127);
  EXPECT_EQ(q[3], 0);
  EXPECT_EQ(scales[1], 2.0f);
  EXPECT_EQ(q[5], 0);   // 0.5
  EXPECT_EQ(q[6], 2);   // 1.5
  EXPECT_EQ(q[7], -2);  // -2.5
}

TEST(Quantize, ErrorIsAtMostHalfAStep) {
  constexpr std::size_t kOut = 7, kIn = 96;
  const std::vector<float> w = random_weights(kOut * kIn);
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(kOut * kIn), back(w.size());
  const auto check = [&](std::size_t group, int limit) {
    dequantize(q.data(), scales.data(), kOut, kIn, group, back.data());
    for (std::size_t i = 0; i < w.size(); ++i) {
      EXPECT_LE(std::abs(q[i]), limit);
      EXPECT_LE(std::abs(back[i] - w[i]), scales[i / group] * 0.5001f);
    }
  };
  quantize_per_channel(w.data(), kOut, kIn, q.data(), scales.data());
  check(kIn, 127);
  quantize_per_channel_4bit(w.data(), kOut, kIn, q.data(), scales.data());
  check(kIn, 7);
  quantize_grouped_4bit(w.data(), kOut, kIn, 32, q.data(), scales.data());
  check(32, 7);
}

TEST(Quantize, ScalesAreHalvesThatReachTheLargestWeight) {
  const std::vector<float> w = random_weights(200 * 16);
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(200);
  quantize_per_channel(w.data(), 200, 16, q.data(), scales.data());
  for (std::size_t o = 0; o < 200; ++o) {
    float largest = 0;
    for (std::size_t i = 0; i < 16; ++i) largest = std::max(largest, std::abs(w[o * 16 + i]));
    EXPECT_EQ(scales[o], f16_to_f32(f32_to_f16(scales[o])));
    EXPECT_GE(scales[o] * 127, largest * (1 - 1e-6f));
    EXPECT_LE(scales[o] * 127, largest * (1 + 0x1p-10f));
  }
  const float small = 1e-5f;  // its scale would have few bits as a half
  quantize_per_channel(&small, 1, 1, q.data(), scales.data());
  EXPECT_EQ(scales[0], small / 127);
}

TEST(Quantize, ZerosAndTinyWeights) {
  const float w[] = {0.0f, -0.0f, 1e-44f, -1e-44f, 3e-38f, -3e-38f};
  std::int8_t q[6];
  float scales[3], back[6];
  quantize_per_channel(w, 3, 2, q, scales);
  dequantize(q, scales, 3, 2, 2, back);
  EXPECT_EQ(scales[0], 0.0f);
  EXPECT_EQ(q[0], 0);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_TRUE(std::isfinite(back[i]));
    EXPECT_NEAR(back[i], w[i], 1e-40);
  }
}

TEST(Quantize, ScalesOfGroupsAreHalvesHoweverSmall) {
  std::vector<float> w = random_weights(6 * 32);
  // Magnitudes from the smallest floats to beyond the largest half.
  const float factors[] = {1.0f, 0x1p-18f, 0x1p-24f, 1e-40f, 0.0f, 0x1p+19f};
  for (std::size_t i = 0; i < w.size(); ++i) w[i] *= factors[i / 32];
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(6), back(w.size());
  quantize_grouped_4bit(w.data(), 6, 32, 32, q.data(), scales.data());
  dequantize(q.data(), scales.data(), 6, 32, 32, back.data());
  for (std::size_t g = 0; g < 6; ++g) {
    EXPECT_EQ(scales[g], f16_to_f32(f32_to_f16(scales[g]))) << g;
    EXPECT_EQ(scales[g] == 0, factors[g] == 0) << g;
    for (std::size_t i = g * 32; g < 5 && i < (g + 1) * 32; ++i)
      EXPECT_LE(std::abs(back[i] - w[i]), scales[g] * 0.5001f) << g;
  }
  EXPECT_EQ(scales[3], 0x1p-24f);
  EXPECT_EQ(scales[5], 65504.0f);
  round_to_grouped_4bit(w.data(), 6, 32, 32);
  EXPECT_EQ(w, back);
}

TEST(Quantize, RoundTripsAreTheFormatsOwn) {
  std::vector<float> w = random_weights(3 * 32);
  std::vector<float> rounded = w, expected(w.size());
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(3);
  quantize_per_channel(w.data(), 3, 32, q.data(), scales.data());
  dequantize(q.data(), scales.data(), 3, 32, 32, expected.data());
  round_to_int8_per_channel(rounded.data(), 3, 32);
  EXPECT_EQ(rounded, expected);
  float half[] = {1.0f + 0x1p-11f, 1.0f + 3 * 0x1p-11f};
  round_to_f16(half);
  EXPECT_EQ(half[0], 1.0f);
  EXPECT_EQ(half[1], 1.0f + 0x1p-9f);
}

}  // namespace
}  // namespace qhx::quant
