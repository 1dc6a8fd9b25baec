// How the rounding error of one input of a linear is made up for by the others.
//
// With the second moments H = L L^T (L lower triangular), an error E of a row of weights costs
//   E H E^T = sum over k of L_kk^2 (E_k + sum over i > k of E_i L_ik / L_kk)^2.
// So inputs are rounded from the last to the first: when k's turn comes, the errors after it are
// known, and the best that can be done is to round w_k + sum of E_i L_ik / L_kk instead of w_k.
// This is what GPTQ and QuIP's LDLQ do, without their inverse.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/panel_product.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/rounding/second_moments.h"

namespace qhx::forge {

class ErrorFeedback {
 public:
  // `damping` times the mean of the diagonal is added to it: more where few rows were seen, so that
  // what they happen not to show is not taken for what never happens. kOutOfRange if the moments
  // are not finite or have no factors even with more damping.
  static Result<ErrorFeedback> make(const SecondMoments& moments, float damping, ThreadPool& pool);

  std::size_t width() const { return width_; }
  // L_kk^2: what an error of k costs once those after it are made up for.
  std::span<const float> costs() const { return costs_; }
  // L_ik / L_kk for k in [16 panel, 16 panel + 16) and i from 16 panel on: rows of 16, those of the
  // first 16 i being one below the diagonal's ones.
  const float* panel(std::size_t index) const { return panels_[index].data(); }

 private:
  explicit ErrorFeedback(std::size_t width) : width_(width) {}
  bool factorize(const SecondMoments& moments, float added, ThreadPool& pool);

  std::size_t width_;
  std::vector<float> costs_;
  std::vector<std::vector<float>> panels_;
};

}  // namespace qhx::forge
