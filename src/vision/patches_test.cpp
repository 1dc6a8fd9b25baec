#include "vision/patches.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <set>

#include "vision/stage_f.h"

namespace qhx::vision {
namespace {

Image counting_picture(int width, int height) {
  Image image{width, height, {}};
  image.rgb.resize(image.pixels() * 3);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return image;
}

TEST(PatchPlace, GoesThroughMergeBlocks) {
  const Grid grid{4, 6};
  const int rows[] = {0, 0, 1, 1, 0, 0, 1, 1}, columns[] = {0, 1, 0, 1, 2, 3, 2, 3};
  for (std::size_t n = 0; n < 8; ++n) {
    EXPECT_EQ(patch_place(grid, 2, n).row, rows[n]);
    EXPECT_EQ(patch_place(grid, 2, n).column, columns[n]);
  }
  EXPECT_EQ(patch_place(grid, 2, 12).row, 2);
  EXPECT_EQ(patch_place(grid, 2, 12).column, 0);
  for (const int merge : {1, 2}) {
    std::set<std::pair<int, int>> seen;
    for (std::size_t n = 0; n < grid.patches(); ++n) {
      const PatchPlace place = patch_place(grid, merge, n);
      EXPECT_TRUE(seen.insert({place.row, place.column}).second);
      EXPECT_LT(place.row, 4);
      EXPECT_LT(place.column, 6);
    }
  }
}

TEST(PatchGrid, WantsMultiples) {
  const PatchParams params{8, 2, 2};
  EXPECT_EQ(*patch_grid(48, 16, params), (Grid{2, 6}));
  for (const auto& [w, h] : {std::pair{8, 16}, {16, 24}, {0, 16}, {-16, 16}}) {
    EXPECT_EQ(patch_grid(w, h, params).status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(ExtractPatches, PutsEveryPixelInItsPlace) {
  PatchParams params{4, 2, 2, {0.5f, 0.4f, 0.3f}, {0.5f, 0.25f, 0.2f}};
  const Image image = counting_picture(24, 16);
  const Grid grid = patch_grid(24, 16, params).value();
  std::vector<float> patches(grid.patches() * patch_values(params));
  extract_patches(image, params, patches);
  for (std::size_t n = 0; n < grid.patches(); ++n) {
    const PatchPlace place = patch_place(grid, 2, n);
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t t = 0; t < 2; ++t) {
        for (std::size_t y = 0; y < 4; ++y) {
          for (std::size_t x = 0; x < 4; ++x) {
            const std::size_t pixel = (static_cast<std::size_t>(place.row) * 4 + y) * 24 +
                                      static_cast<std::size_t>(place.column) * 4 + x;
            const float level = image.rgb[pixel * 3 + c];
            const float expected = (level - 255.0f * params.mean[c]) / (255.0f * params.std[c]);
            EXPECT_EQ(patches[n * 96 + ((c * 2 + t) * 4 + y) * 4 + x], expected);
          }
        }
      }
    }
  }
}

// Both forms of Stage-F against a sum in double.
class StageFTest : public ::testing::TestWithParam<std::tuple<int, int, std::size_t>> {};

TEST_P(StageFTest, EqualsThePlainSum) {
  const auto [patch, temporal, hidden] = GetParam();
  const PatchParams params{patch, 2, temporal};
  const Image image = counting_picture(10 * patch, 14 * patch);
  const Grid grid = patch_grid(image.width, image.height, params).value();
  std::vector<float> patches(grid.patches() * patch_values(params));
  extract_patches(image, params, patches);
  constexpr std::size_t kSide = 6;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::size_t count, float scale) {
    std::vector<float> values(count);
    for (float& value : values) value = normal(random) * scale;
    return values;
  };
  const std::size_t columns = patch_values(params);
  const auto w = fill(hidden * columns, 1.0f / std::sqrt(static_cast<float>(columns)));
  const auto bias = fill(hidden, 0.1f), positions = fill(kSide * kSide * hidden, 0.3f);
  const StageF::Weights weights{w, bias, positions, hidden, kSide};
  std::vector<float> interpolated(grid.patches() * hidden);
  interpolate_positions(positions, kSide, hidden, grid, 2, interpolated);

  ThreadPool pool(2);
  for (const auto slices : {StageF::TimeSlices::kSeparate, StageF::TimeSlices::kSummed}) {
    std::vector<float> out(grid.patches() * hidden, NAN);
    StageF(weights, params, slices).embed(patches, grid, pool, out);
    double largest = 0, worst = 0;
    for (std::size_t n = 0; n < grid.patches(); ++n) {
      for (std::size_t h = 0; h < hidden; ++h) {
        double sum = bias[h] + static_cast<double>(interpolated[n * hidden + h]);
        for (std::size_t k = 0; k < columns; ++k) {
          sum += static_cast<double>(patches[n * columns + k]) *
                 static_cast<double>(w[h * columns + k]);
        }
        largest = std::max(largest, std::abs(sum));
        const double difference = std::abs(sum - static_cast<double>(out[n * hidden + h]));
        worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
      }
    }
    // Float sums of up to 1536 products.
    EXPECT_LE(worst, 3e-6 * largest);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, StageFTest,
                         ::testing::Values(std::tuple{16, 2, 40u}, std::tuple{4, 2, 1u},
                                           std::tuple{14, 1, 16u}, std::tuple{5, 3, 150u}));

TEST(InterpolatePositions, CopiesAGridOfTheSameSizeAndHalvesBetween) {
  std::vector<float> weights(3 * 3 * 2);
  std::iota(weights.begin(), weights.end(), 0.0f);
  std::vector<float> same(3 * 3 * 2);
  interpolate_positions(weights, 3, 2, {3, 3}, 1, same);
  EXPECT_EQ(same, weights);
  std::vector<float> finer(5 * 5 * 2);
  interpolate_positions(weights, 3, 2, {5, 5}, 1, finer);
  EXPECT_EQ(finer[2], 1.0f);      // halfway between 0 and 2
  EXPECT_EQ(finer[5 * 2], 3.0f);  // halfway between 0 and 6
  EXPECT_EQ(finer[6 * 2], 4.0f);  // the middle of 0, 2, 6, 8
  EXPECT_EQ(finer.back(), 17.0f);
  std::vector<float> one(2);
  interpolate_positions(weights, 3, 2, {1, 1}, 1, one);
  EXPECT_EQ(one[0], 0.0f);
}

}  // namespace
}  // namespace qhx::vision
