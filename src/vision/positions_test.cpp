#include "vision/positions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

namespace qhx::vision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int32_t kImage = 9;

TEST(MropePositions, TextCountsUp) {
  const std::int32_t tokens[] = {1, 2, 3};
  const auto positions = mrope_positions(tokens, kImage, {}, 2);
  ASSERT_TRUE(positions.ok());
  EXPECT_THAT(positions->ids, ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2));
  EXPECT_EQ(positions->delta, 0);
  EXPECT_TRUE(mrope_positions({}, kImage, {}, 2)->ids.empty());
}

TEST(MropePositions, PicturesSpanTheirGrid) {
  // Two tokens, a picture of 2 x 3 merged tokens, one token, two pictures side by side, one token.
  std::vector<std::int32_t> tokens = {1, 2};
  tokens.insert(tokens.end(), 6, kImage);
  tokens.push_back(3);
  tokens.insert(tokens.end(), 2, kImage);
  tokens.push_back(4);
  const Grid pictures[] = {{4, 6}, {2, 2}, {2, 2}};
  const auto positions = mrope_positions(tokens, kImage, pictures, 2);
  ASSERT_TRUE(positions.ok()) << positions.status();
  EXPECT_THAT(positions->ids, ElementsAre(0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7, 8,  //
                                          0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7, 8,  //
                                          0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(positions->delta, 9 - 12);
}

TEST(MropePositions, FixedPicture) {
  std::vector<std::int32_t> tokens = {1, 2, 3, 4};
  tokens.insert(tokens.end(), 256, kImage);
  tokens.push_back(5);
  const Grid pictures[] = {{32, 32}};
  const auto positions = mrope_positions(tokens, kImage, pictures, 2);
  ASSERT_TRUE(positions.ok());
  EXPECT_EQ(positions->delta, -240);
  EXPECT_EQ(positions->ids[260], 20);
}

TEST(MropePositions, CountsMustAgree) {
  const std::int32_t tokens[] = {1, kImage, kImage, 2};
  const Grid two[] = {{2, 4}, {2, 2}}, large[] = {{4, 4}}, small[] = {{2, 2}};
  EXPECT_THAT(mrope_positions(tokens, kImage, two, 2).status().message(), HasSubstr("there are 2"));
  EXPECT_THAT(mrope_positions(tokens, kImage, large, 2).status().message(),
              HasSubstr("picture 0: expected 4 image tokens, found 2"));
  EXPECT_THAT(mrope_positions(tokens, kImage, small, 2).status().message(), HasSubstr("more runs"));
  EXPECT_THAT(mrope_positions(tokens, kImage, {}, 2).status().message(), HasSubstr("more runs"));
}

// torch's vectorised power is off by one unit in the last place now and then, and then differs from
// torch's own scalar one; ours is rounded correctly.
TEST(InverseFrequencies, HaveTorchsBitsBarARareRounding) {
  std::ifstream goldens(std::string(QHX_VISION_TESTDATA) + "/frequency_goldens.txt");
  std::string line;
  int lines = 0, different = 0;
  while (std::getline(goldens, line)) {
    ++lines;
    std::istringstream words(line);
    double theta;
    std::size_t dim;
    words >> theta >> dim;
    const std::vector<float> frequencies = inverse_frequencies(theta, dim);
    ASSERT_EQ(frequencies.size(), dim / 2);
    for (std::size_t j = 0; j < dim / 2; ++j) {
      std::string hex;
      words >> hex;
      const auto ours = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(frequencies[j]));
      const auto torchs = static_cast<std::int64_t>(std::stoul(hex, nullptr, 16));
      EXPECT_LE(std::abs(ours - torchs), 1) << theta << " " << dim << " " << j;
      different += ours != torchs ? 1 : 0;
    }
  }
  EXPECT_EQ(lines, 7);
  EXPECT_LE(different, 2);  // of 226
}

TEST(FillMrope, InterleavesTheAxes) {
  const std::int32_t positions[] = {3, 5, 7};  // one token
  constexpr std::size_t kDim = 32;
  float cos[kDim / 2], sin[kDim / 2];
  fill_mrope(positions, 5e6, {6, 5, 5}, kDim, cos, sin);
  const std::vector<float> frequencies = inverse_frequencies(5e6, kDim);
  for (std::size_t j = 0; j < kDim / 2; ++j) {
    const float place = j % 3 == 1 && j < 15 ? 5.0f : j % 3 == 2 && j < 15 ? 7.0f : 3.0f;
    EXPECT_FLOAT_EQ(cos[j], std::cos(place * frequencies[j])) << j;
    EXPECT_FLOAT_EQ(sin[j], std::sin(place * frequencies[j])) << j;
  }
}

TEST(FillVisionRope, RowsThenColumns) {
  constexpr std::size_t kDim = 8;
  const Grid grid{2, 4};
  float cos[8 * kDim / 2], sin[8 * kDim / 2];
  fill_vision_rope(grid, 2, 10000.0, kDim, cos, sin);
  // Patch 7 is row 1, column 3; frequencies of 4 values are 1 and 0.01.
  EXPECT_FLOAT_EQ(sin[7 * 4 + 0], std::sin(1.0f));
  EXPECT_FLOAT_EQ(sin[7 * 4 + 1], std::sin(0.01f));
  EXPECT_FLOAT_EQ(sin[7 * 4 + 2], std::sin(3.0f));
  EXPECT_FLOAT_EQ(cos[7 * 4 + 3], std::cos(0.03f));
  EXPECT_EQ(cos[0], 1.0f);
}

}  // namespace
}  // namespace qhx::vision
