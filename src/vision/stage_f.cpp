#include "vision/stage_f.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/panel_product.h"

namespace qhx::vision {
namespace {

// Rows of patches that one piece of work covers: one slice of them stays in the level-2 cache while
// all panels pass.
constexpr std::size_t kRowBlock = 96;
// Panels of a piece of work; one slice of a panel stays in the level-1 cache while the rows pass.
constexpr std::size_t kPanelBlock = 8;

// Where target i of n falls between the entries of an axis of `side` entries.
struct Source {
  std::size_t low = 0;
  std::size_t high = 0;
  float weight = 0;  // of `high`
};

Source source_of(int i, int n, std::size_t side) {
  const auto last = static_cast<float>(side - 1);
  const float place = n == 1 ? 0.0f : static_cast<float>(i) * last / static_cast<float>(n - 1);
  const float low = std::floor(place);
  const auto index = static_cast<std::size_t>(low);
  return {index, std::min(index + 1, side - 1), place - low};
}

// out[h] (+)= the four neighbours of a patch, weighted.
template <bool kAdd>
void position_row(std::span<const float> weights, std::size_t side, std::size_t hidden, Grid grid,
                  PatchPlace place, float* out) {
  const Source row = source_of(place.row, grid.height, side);
  const Source column = source_of(place.column, grid.width, side);
  const float* a = weights.data() + (row.low * side + column.low) * hidden;
  const float* b = weights.data() + (row.low * side + column.high) * hidden;
  const float* c = weights.data() + (row.high * side + column.low) * hidden;
  const float* d = weights.data() + (row.high * side + column.high) * hidden;
  const float wa = (1 - row.weight) * (1 - column.weight), wb = (1 - row.weight) * column.weight;
  const float wc = row.weight * (1 - column.weight), wd = row.weight * column.weight;
  for (std::size_t h = 0; h < hidden; ++h) {
    const float value = wa * a[h] + wb * b[h] + wc * c[h] + wd * d[h];
    out[h] = kAdd ? out[h] + value : value;
  }
}

}  // namespace

void interpolate_positions(std::span<const float> grid_weights, std::size_t side,
                           std::size_t hidden, Grid grid, int merge, std::span<float> out) {
  QHX_CHECK(grid_weights.size() == side * side * hidden && out.size() == grid.patches() * hidden);
  for (std::size_t n = 0; n < grid.patches(); ++n) {
    position_row<false>(grid_weights, side, hidden, grid, patch_place(grid, merge, n),
                        out.data() + n * hidden);
  }
}

StageF::StageF(const Weights& weights, const PatchParams& params, TimeSlices slices)
    : weights_(weights), params_(params), slices_(slices) {
  const auto times = static_cast<std::size_t>(params.temporal);
  slice_values_ = static_cast<std::size_t>(params.patch) * static_cast<std::size_t>(params.patch);
  slice_count_ = slices == TimeSlices::kSummed ? 3 : 3 * times;
  const std::size_t columns = patch_values(params);
  QHX_CHECK(weights.patch.size() == weights.hidden * columns &&
            weights.bias.size() == weights.hidden &&
            weights.positions.size() == weights.side * weights.side * weights.hidden);
  const std::size_t panels = (weights.hidden + kPanelWidth - 1) / kPanelWidth;
  packed_.resize(slice_count_ * panels * slice_values_ * kPanelWidth);
  for (std::size_t h = 0; h < weights.hidden; ++h) {
    for (std::size_t column = 0; column < columns; ++column) {
      std::size_t slice = column / slice_values_;
      if (slices == TimeSlices::kSummed) slice /= times;
      const std::size_t line =
          (slice * panels + h / kPanelWidth) * slice_values_ + column % slice_values_;
      packed_[line * kPanelWidth + h % kPanelWidth] += weights.patch[h * columns + column];
    }
  }
}

void StageF::embed(std::span<const float> patches, Grid grid, ThreadPool& pool,
                   std::span<float> out) const {
  const std::size_t count = grid.patches(), hidden = weights_.hidden;
  QHX_CHECK(patches.size() == count * patch_values(params_) && out.size() == count * hidden);
  const std::size_t panels = (hidden + kPanelWidth - 1) / kPanelWidth;
  const std::size_t row_blocks = (count + kRowBlock - 1) / kRowBlock;
  const std::size_t panel_blocks = (panels + kPanelBlock - 1) / kPanelBlock;
  pool.run(row_blocks * panel_blocks, [&](std::size_t piece) {
    const std::size_t row = piece / panel_blocks * kRowBlock,
                      panel = piece % panel_blocks * kPanelBlock;
    embed_block(patches, row, std::min(kRowBlock, count - row), panel,
                std::min(kPanelBlock, panels - panel), out);
  });
  const std::size_t position_blocks = (count + kRowBlock - 1) / kRowBlock;
  pool.run(position_blocks, [&](std::size_t block) {
    const std::size_t end = std::min((block + 1) * kRowBlock, count);
    for (std::size_t n = block * kRowBlock; n < end; ++n) {
      position_row<true>(weights_.positions, weights_.side, hidden, grid,
                         patch_place(grid, params_.merge, n), out.data() + n * hidden);
    }
  });
}

void StageF::embed_block(std::span<const float> patches, std::size_t row, std::size_t rows,
                         std::size_t panel, std::size_t panel_count, std::span<float> out) const {
  const std::size_t hidden = weights_.hidden, columns = patch_values(params_);
  const std::size_t panels = (hidden + kPanelWidth - 1) / kPanelWidth;
  // With summed slices only the first time slice of each channel is read.
  const std::size_t slice_stride = slices_ == TimeSlices::kSummed
                                       ? slice_values_ * static_cast<std::size_t>(params_.temporal)
                                       : slice_values_;
  float sums[kRowBlock * kPanelBlock * kPanelWidth] = {};
  const std::size_t sums_stride = panel_count * kPanelWidth;
  for (std::size_t slice = 0; slice < slice_count_; ++slice) {
    const float* x = patches.data() + row * columns + slice * slice_stride;
    for (std::size_t p = 0; p < panel_count; ++p) {
      const float* w = packed_.data() + (slice * panels + panel + p) * slice_values_ * kPanelWidth;
      multiply_panel({x, columns, rows, w, slice_values_, sums + p * kPanelWidth, sums_stride});
    }
  }
  const std::size_t first = panel * kPanelWidth;
  const std::size_t last = std::min(first + sums_stride, hidden);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t h = first; h < last; ++h) {
      out[(row + r) * hidden + h] = sums[r * sums_stride + h - first] + weights_.bias[h];
    }
  }
}

}  // namespace qhx::vision
