#include "forge/rounding/second_moments.h"

#include "base/check.h"
#include "base/panel_product.h"

namespace qhx::forge {

SecondMoments::SecondMoments(std::size_t width) : width_(width), sums_(width * width) {
  QHX_CHECK(width % kPanelWidth == 0);
}

void SecondMoments::add(const reference::Matrix& x, ThreadPool& pool) {
  QHX_CHECK(x.columns == width_);
  const std::size_t panels = width_ / kPanelWidth;
  // x as panels [rows, 16], and as rows of one input each.
  std::vector<float> columns(x.values.size()), packed(x.values.size());
  pool.run(panels, [&](std::size_t panel) {
    float* to = packed.data() + panel * x.rows * kPanelWidth;
    for (std::size_t r = 0; r < x.rows; ++r) {
      for (std::size_t c = 0; c < kPanelWidth; ++c) {
        const float value = x.row(r)[panel * kPanelWidth + c];
        to[r * kPanelWidth + c] = value;
        columns[(panel * kPanelWidth + c) * x.rows + r] = value;
      }
    }
  });
  pool.run(panels, [&](std::size_t panel) {
    const std::size_t first = panel * kPanelWidth;
    multiply_panel({.x = columns.data() + first * x.rows,
                    .x_stride = x.rows,
                    .rows = width_ - first,
                    .w = packed.data() + panel * x.rows * kPanelWidth,
                    .depth = x.rows,
                    .sums = sums_.data() + first * width_ + first,
                    .sums_stride = width_});
  });
  rows_ += x.rows;
}

float SecondMoments::mean_of_diagonal() const {
  double sum = 0;
  for (std::size_t i = 0; i < width_; ++i) sum += static_cast<double>(row(i)[i]);
  return static_cast<float>(sum / static_cast<double>(width_));
}

}  // namespace qhx::forge
