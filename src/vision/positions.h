// Where every token and every patch is: M-RoPE position ids and the cosine and sine tables of both
// rotary embeddings. Pure functions of their arguments.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "vision/patches.h"

namespace qhx::vision {

// ids [3, T] row-major: time, height, width of every token. A decode step with s tokens before it
// sits at s + delta on all three axes.
struct MropePositions {
  std::vector<std::int32_t> ids;
  std::size_t tokens = 0;
  std::int32_t delta = 0;
};

// Text counts up on all axes; a picture of h x w merged tokens that begins at p gives (p, p + y, p
// + x), and text goes on at p + max(h, w). `pictures` are grids in patches, in order.
// kInvalidArgument if the runs of image tokens and the grids do not agree, with both counts.
Result<MropePositions> mrope_positions(std::span<const std::int32_t> tokens,
                                       std::int32_t image_token_id, std::span<const Grid> pictures,
                                       int merge);

// 1 / theta^(2j / dim) for j < dim / 2, in float as torch computes them.
std::vector<float> inverse_frequencies(double theta, std::size_t dim);

// Interleaved M-RoPE: pair j takes its coordinate from height if j % 3 == 1 and j < 3 * section[1],
// from width if j % 3 == 2 and j < 3 * section[2], else from time. positions [3, T]; cos and sin
// [T, head_dim / 2].
void fill_mrope(std::span<const std::int32_t> positions, double theta,
                const std::array<int, 3>& section, std::size_t head_dim, std::span<float> cos,
                std::span<float> sin);

// Rotary tables of the vision blocks: cos and sin [N, head_dim / 2], the first half of each row for
// the patch's row, the second for its column, in the sequence order of patches.h. head_dim is a
// multiple of 4.
void fill_vision_rope(Grid grid, int merge, double theta, std::size_t head_dim,
                      std::span<float> cos, std::span<float> sin);

}  // namespace qhx::vision
