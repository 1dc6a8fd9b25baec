#include "vision/positions.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"

namespace qhx::vision {
namespace {

// Length of the run of `id` that begins at `from`.
std::size_t run_length(std::span<const std::int32_t> tokens, std::size_t from, std::int32_t id) {
  std::size_t end = from;
  while (end < tokens.size() && tokens[end] == id) ++end;
  return end - from;
}

}  // namespace

Result<MropePositions> mrope_positions(std::span<const std::int32_t> tokens,
                                       std::int32_t image_token_id, std::span<const Grid> pictures,
                                       int merge) {
  const std::size_t count = tokens.size();
  MropePositions positions{std::vector<std::int32_t>(3 * count), count, 0};
  const auto put = [&](std::size_t token, std::int32_t t, std::int32_t h, std::int32_t w) {
    positions.ids[token] = t;
    positions.ids[count + token] = h;
    positions.ids[2 * count + token] = w;
  };
  std::int32_t next = 0;
  std::size_t picture = 0;
  for (std::size_t token = 0; token < count;) {
    if (tokens[token] != image_token_id) {
      put(token++, next, next, next);
      ++next;
      continue;
    }
    if (picture == pictures.size()) {
      return invalid_argument("more runs of image tokens than pictures, of which there are " +
                              std::to_string(pictures.size()));
    }
    const int height = pictures[picture].height / merge, width = pictures[picture].width / merge;
    const std::size_t wanted = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    const std::size_t found = run_length(tokens, token, image_token_id);
    if (found < wanted) {
      return invalid_argument("picture " + std::to_string(picture) + ": expected " +
                              std::to_string(wanted) + " image tokens, found " +
                              std::to_string(found));
    }
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) put(token++, next, next + y, next + x);
    }
    next += std::max(height, width);
    ++picture;
  }
  if (picture != pictures.size()) {
    return invalid_argument("image tokens for " + std::to_string(picture) +
                            " pictures, but there are " + std::to_string(pictures.size()));
  }
  positions.delta = next - static_cast<std::int32_t>(count);
  return positions;
}

std::vector<float> inverse_frequencies(double theta, std::size_t dim) {
  std::vector<float> frequencies(dim / 2);
  for (std::size_t j = 0; j < frequencies.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(dim);
    frequencies[j] = 1.0f / std::pow(static_cast<float>(theta), exponent);
  }
  return frequencies;
}

void fill_mrope(std::span<const std::int32_t> positions, double theta,
                const std::array<int, 3>& section, std::size_t head_dim, std::span<float> cos,
                std::span<float> sin) {
  const std::size_t tokens = positions.size() / 3, pairs = head_dim / 2;
  QHX_CHECK(cos.size() == tokens * pairs && sin.size() == cos.size());
  const std::vector<float> frequencies = inverse_frequencies(theta, head_dim);
  for (std::size_t j = 0; j < pairs; ++j) {
    std::size_t axis = j % 3;
    if (axis != 0 && j >= 3 * static_cast<std::size_t>(section[axis])) axis = 0;
    for (std::size_t token = 0; token < tokens; ++token) {
      const float angle = static_cast<float>(positions[axis * tokens + token]) * frequencies[j];
      cos[token * pairs + j] = std::cos(angle);
      sin[token * pairs + j] = std::sin(angle);
    }
  }
}

void fill_vision_rope(Grid grid, int merge, double theta, std::size_t head_dim,
                      std::span<float> cos, std::span<float> sin) {
  const std::size_t pairs = head_dim / 2, half = pairs / 2;
  QHX_CHECK(head_dim % 4 == 0 && cos.size() == grid.patches() * pairs && sin.size() == cos.size());
  const std::vector<float> frequencies = inverse_frequencies(theta, pairs);
  for (std::size_t n = 0; n < grid.patches(); ++n) {
    const PatchPlace place = patch_place(grid, merge, n);
    for (std::size_t j = 0; j < pairs; ++j) {
      const int coordinate = j < half ? place.row : place.column;
      const float angle = static_cast<float>(coordinate) * frequencies[j % half];
      cos[n * pairs + j] = std::cos(angle);
      sin[n * pairs + j] = std::sin(angle);
    }
  }
}

}  // namespace qhx::vision
