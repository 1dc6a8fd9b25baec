#include "forge/rounding/error_feedback.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace qhx::forge {
namespace {

constexpr std::size_t kWidth = kPanelWidth;
// Rows that one piece of work updates.
constexpr std::size_t kChunk = 96;

// Columns [first, first + 16) of a Cholesky factor of which the columns before are there.
class PanelFactor {
 public:
  // `rows` [size, size], of which the panel's columns hold the matrix at and below the diagonal.
  PanelFactor(float* rows, std::size_t size, std::size_t first)
      : rows_(rows), size_(size), first_(first) {}

  // False if a pivot is not positive: the matrix is not (numerically) positive definite.
  bool run(ThreadPool& pool) {
    pack_before();
    const std::size_t chunks = (size_ - first_ + kChunk - 1) / kChunk;
    pool.run(chunks, [&](std::size_t chunk) { subtract(chunk); });
    if (!factorize_diagonal()) return false;
    pool.run(chunks, [&](std::size_t chunk) { solve(chunk); });
    return true;
  }

 private:
  // Minus the panel's own rows of the columns before it, transposed: [first, 16].
  void pack_before() {
    packed_.resize(first_ * kWidth);
    for (std::size_t c = 0; c < kWidth; ++c) {
      const float* row = rows_ + (first_ + c) * size_;
      for (std::size_t k = 0; k < first_; ++k) packed_[k * kWidth + c] = -row[k];
    }
  }

  void subtract(std::size_t chunk) {
    const std::size_t row = first_ + chunk * kChunk;
    multiply_panel({.x = rows_ + row * size_,
                    .x_stride = size_,
                    .rows = std::min(kChunk, size_ - row),
                    .w = packed_.data(),
                    .depth = first_,
                    .sums = rows_ + row * size_ + first_,
                    .sums_stride = size_});
  }

  bool factorize_diagonal() {
    for (std::size_t k = 0; k < kWidth; ++k) {
      float* row = rows_ + (first_ + k) * size_ + first_;
      solve_row(row, k);
      double pivot = static_cast<double>(row[k]);
      for (std::size_t j = 0; j < k; ++j)
        pivot -= static_cast<double>(row[j]) * static_cast<double>(row[j]);
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      row[k] = static_cast<float>(std::sqrt(pivot));
    }
    return true;
  }

  // The first `count` values of a row below, or on, the rows of the diagonal block.
  void solve_row(float* row, std::size_t count) const {
    for (std::size_t k = 0; k < count; ++k) {
      const float* above = rows_ + (first_ + k) * size_ + first_;
      double value = static_cast<double>(row[k]);
      for (std::size_t j = 0; j < k; ++j)
        value -= static_cast<double>(row[j]) * static_cast<double>(above[j]);
      row[k] = static_cast<float>(value / static_cast<double>(above[k]));
    }
  }

  void solve(std::size_t chunk) {
    const std::size_t begin = first_ + chunk * kChunk, end = std::min(begin + kChunk, size_);
    for (std::size_t r = std::max(begin, first_ + kWidth); r < end; ++r)
      solve_row(rows_ + r * size_ + first_, kWidth);
  }

  float* rows_;
  std::size_t size_, first_;
  std::vector<float> packed_;
};

}  // namespace

bool ErrorFeedback::factorize(const SecondMoments& moments, float added, ThreadPool& pool) {
  std::vector<float> factor(width_ * width_);
  for (std::size_t i = 0; i < width_; ++i) {
    std::copy_n(moments.row(i), i + 1, factor.data() + i * width_);
    factor[i * width_ + i] += added;
  }
  for (std::size_t first = 0; first < width_; first += kWidth) {
    if (!PanelFactor(factor.data(), width_, first).run(pool)) return false;
  }
  costs_.resize(width_);
  for (std::size_t k = 0; k < width_; ++k) {
    const float pivot = factor[k * width_ + k];
    costs_[k] = pivot * pivot;
  }
  panels_.assign(width_ / kWidth, {});
  pool.run(panels_.size(), [&](std::size_t panel) {
    const std::size_t first = panel * kWidth;
    panels_[panel].resize((width_ - first) * kWidth);
    for (std::size_t i = first; i < width_; ++i) {
      for (std::size_t c = 0; c < std::min(kWidth, i - first + 1); ++c) {
        const float pivot = factor[(first + c) * width_ + first + c];
        panels_[panel][(i - first) * kWidth + c] = factor[i * width_ + first + c] / pivot;
      }
    }
  });
  return true;
}

Result<ErrorFeedback> ErrorFeedback::make(const SecondMoments& moments, float damping,
                                          ThreadPool& pool) {
  const float mean = moments.mean_of_diagonal();
  ErrorFeedback feedback(moments.width());
  // Inputs that were always zero have no moments: any positive ones then mean plain rounding.
  const float scale = mean > 0 ? mean : 1.0f;
  for (float part = damping; std::isfinite(mean) && part <= 100.0f; part *= 10) {
    if (feedback.factorize(moments, part * scale, pool)) return feedback;
  }
  return out_of_range("the inputs' second moments have no Cholesky factor (their mean is " +
                      std::to_string(mean) + "): is the checkpoint damaged?");
}

}  // namespace qhx::forge
