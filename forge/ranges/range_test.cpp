#include "forge/ranges/range.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qhx::forge {
namespace {

TEST(Range, CountsMagnitudes) {
  Range range;
  const float first[] = {0.0f, -3.0f, 1.0f}, second[] = {0x1p-20f, 0.5f};
  range.add(first);
  range.add(second);
  EXPECT_EQ(range.count(), 5u);
  EXPECT_EQ(range.largest(), 3.0f);
  EXPECT_NEAR(range.rms(), std::sqrt((9 + 1 + 0.25) / 5), 1e-6);
  EXPECT_EQ(range.median(), 0.5f);  // of 2^-20, 0.5, 1, 3
  EXPECT_EQ(range.part_below(kSmallestNormalExponent), 0.25);
  EXPECT_EQ(range.part_below(-20), 0.0);
  EXPECT_EQ(range.part_below(-19), 0.25);
  EXPECT_EQ(range.part_below(2), 1.0);
  EXPECT_EQ(range.part_below(1000), 1.0);
  EXPECT_EQ(range.part_below(-1000), 0.0);
  EXPECT_EQ(range.not_finite(), 0u);
}

TEST(Range, NothingAndZerosHaveNoMedian) {
  Range range;
  EXPECT_EQ(range.rms(), 0.0);
  EXPECT_EQ(range.median(), 0.0f);
  EXPECT_EQ(range.part_below(0), 0.0);
  const float zeros[] = {0.0f, -0.0f};
  range.add(zeros);
  EXPECT_EQ(range.median(), 0.0f);
  EXPECT_EQ(range.part_below(0), 0.0);
}

TEST(Range, WhatIsNotFiniteIsCountedApart) {
  Range range;
  const float values[] = {INFINITY, -INFINITY, std::numeric_limits<float>::quiet_NaN(), 4.0f};
  range.add(values);
  EXPECT_EQ(range.not_finite(), 3u);
  EXPECT_EQ(range.largest(), 4.0f);
  EXPECT_EQ(range.rms(), 4.0);
  EXPECT_EQ(range.median(), 4.0f);
}

}  // namespace
}  // namespace qhx::forge
