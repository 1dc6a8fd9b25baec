// What a linear's inputs are like: the sums of their products, X^T X over the rows of a
// calibration set. An error E in the weights [out, in] costs trace(E (X^T X) E^T) at the outputs.
#pragma once

#include <cstddef>
#include <vector>

#include "base/thread_pool.h"
#include "reference/math.h"

namespace qhx::forge {

class SecondMoments {
 public:
  // `width` inputs, a multiple of kPanelWidth (QHX_CHECK).
  explicit SecondMoments(std::size_t width);

  // Adds the rows of x [rows, width] (QHX_CHECK).
  void add(const reference::Matrix& x, ThreadPool& pool);

  std::size_t width() const { return width_; }
  std::size_t rows() const { return rows_; }
  // Row i of the symmetric matrix: columns up to i.
  const float* row(std::size_t i) const { return sums_.data() + i * width_; }
  float mean_of_diagonal() const;

 private:
  std::size_t width_;
  std::size_t rows_ = 0;
  std::vector<float> sums_;  // at and below the diagonal
};

}  // namespace qhx::forge
