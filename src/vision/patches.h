// Pixels to the vision model's input: normalised, cut into patches, in the order of the merged
// tokens.
//
// Patches go by merge blocks: all patches of the first block (row by row), then the next block to
// the right, and so on, so that merge * merge consecutive rows become one token. Inside a patch:
// channel, time, y, x. A still picture fills every time slice with the same pixels.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/status.h"
#include "vision/image.h"

namespace qhx::vision {

struct PatchParams {
  int patch = 16;
  int merge = 2;
  int temporal = 2;
  std::array<float, 3> mean{0.5f, 0.5f, 0.5f};
  std::array<float, 3> std{0.5f, 0.5f, 0.5f};
};

// A picture in patches: height * width of them, before merging.
struct Grid {
  int height = 0;
  int width = 0;
  std::size_t patches() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  }
  bool operator==(const Grid&) const = default;
};

// Row and column in the grid of the patch at place `index` of the sequence. merge divides both
// sides of the grid.
struct PatchPlace {
  int row = 0;
  int column = 0;
};
PatchPlace patch_place(Grid grid, int merge, std::size_t index);

// 3 * temporal * patch * patch.
std::size_t patch_values(const PatchParams& params);

// kInvalidArgument unless both sides are multiples of patch * merge.
Result<Grid> patch_grid(int width, int height, const PatchParams& params);

// out [N, 3 * temporal * patch * patch] f32 = (u8 - 255 mean) / (255 std), one subtraction and one
// division in float as Hugging Face's fused form does them. The picture's size must fit
// (patch_grid), out must have that many elements (QHX_CHECK).
void extract_patches(const Image& image, const PatchParams& params, std::span<float> out);

}  // namespace qhx::vision
