#include "vision/patches.h"

#include <string>

#include "base/check.h"

namespace qhx::vision {
namespace {

// Normalised value of every level of every channel.
using Levels = std::array<std::array<float, 256>, 3>;

Levels normalised_levels(const PatchParams& params) {
  Levels levels;
  for (std::size_t c = 0; c < 3; ++c) {
    const float mean = params.mean[c] * 255.0f;
    const float std = params.std[c] * 255.0f;
    for (std::size_t level = 0; level < 256; ++level)
      levels[c][level] = (static_cast<float>(level) - mean) / std;
  }
  return levels;
}

}  // namespace

PatchPlace patch_place(Grid grid, int merge, std::size_t index) {
  const auto m = static_cast<std::size_t>(merge);
  const std::size_t in_block = index % (m * m), block = index / (m * m);
  const std::size_t blocks_wide = static_cast<std::size_t>(grid.width) / m;
  return {static_cast<int>(block / blocks_wide * m + in_block / m),
          static_cast<int>(block % blocks_wide * m + in_block % m)};
}

std::size_t patch_values(const PatchParams& params) {
  return std::size_t{3} * static_cast<std::size_t>(params.temporal) *
         static_cast<std::size_t>(params.patch) * static_cast<std::size_t>(params.patch);
}

Result<Grid> patch_grid(int width, int height, const PatchParams& params) {
  const int unit = params.patch * params.merge;
  if (width <= 0 || height <= 0 || width % unit != 0 || height % unit != 0) {
    return invalid_argument(
        "picture of " + std::to_string(width) + " x " + std::to_string(height) +
        ": both sides must be multiples of patch * merge = " + std::to_string(unit));
  }
  return Grid{height / params.patch, width / params.patch};
}

void extract_patches(const Image& image, const PatchParams& params, std::span<float> out) {
  const auto grid = patch_grid(image.width, image.height, params);
  QHX_CHECK(grid.ok() && image.rgb.size() == image.pixels() * 3);
  QHX_CHECK(out.size() == grid->patches() * patch_values(params));
  const Levels levels = normalised_levels(params);
  const auto side = static_cast<std::size_t>(params.patch);
  const auto width = static_cast<std::size_t>(image.width);
  float* value = out.data();
  for (std::size_t n = 0; n < grid->patches(); ++n) {
    const PatchPlace place = patch_place(*grid, params.merge, n);
    const std::size_t top = static_cast<std::size_t>(place.row) * side;
    const std::size_t left = static_cast<std::size_t>(place.column) * side;
    for (std::size_t c = 0; c < 3; ++c) {
      for (int t = 0; t < params.temporal; ++t) {
        for (std::size_t y = 0; y < side; ++y) {
          const std::uint8_t* pixel = image.rgb.data() + ((top + y) * width + left) * 3 + c;
          for (std::size_t x = 0; x < side; ++x, pixel += 3) *value++ = levels[c][*pixel];
        }
      }
    }
  }
}

}  // namespace qhx::vision
