#include "forge/rounding/choose_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qhx::forge {
namespace {

using quant::WeightFormat;

// 800 weights take 450 bytes in 4 bits and 800 in int8.
const RoundingErrors kMatrices[] = {
    {.tensor = "worst", .elements = 800, .compensated = 0.1, .nearest = 0.3, .int8 = 0.01},
    {.tensor = "large", .elements = 8000, .compensated = 0.11, .nearest = 0.3, .int8 = 0.01},
    {.tensor = "good", .elements = 800, .compensated = 0.02, .nearest = 0.05, .int8 = 0.01},
    {.tensor = "no better", .elements = 800, .compensated = 0.01, .nearest = 0.02, .int8 = 0.01},
};
constexpr double kAllFour = 3 * 450 + 4500;

FormatChoice choose(double budget) { return choose_formats(kMatrices, budget).value(); }

std::string int8_of(const FormatChoice& choice) {
  std::string names;
  for (const auto& [tensor, format] : choice)
    if (format == WeightFormat::kW8) names += tensor + ";";
  return names;
}

TEST(ChooseFormats, MostGainForEachByteComesFirst) {
  EXPECT_EQ(int8_of(choose(kAllFour)), "");
  EXPECT_EQ(int8_of(choose(kAllFour + 349)), "");
  EXPECT_EQ(int8_of(choose(kAllFour + 350)), "worst;");
  EXPECT_EQ(int8_of(choose(kAllFour + 700)), "good;worst;") << "the large one has no room";
  EXPECT_EQ(int8_of(choose(kAllFour + 3850)), "large;worst;");
}

TEST(ChooseFormats, WhatGainsNothingKeepsFourBits) {
  EXPECT_EQ(int8_of(choose(1e9)), "good;large;worst;");
  EXPECT_EQ(choose(1e9).size(), 4u);
}

TEST(ChooseFormats, ABudgetBelowFourBitsIsRefused) {
  const auto choice = choose_formats(kMatrices, kAllFour - 1);
  EXPECT_EQ(choice.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(choice.status().message(),
              ::testing::HasSubstr("5849 bytes for matrices that take 5850"));
}

}  // namespace
}  // namespace qhx::forge
