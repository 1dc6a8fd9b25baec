#include "forge/rounding/compensate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "forge/quant/quantize.h"
#include "forge/quant/weight_plan.h"

namespace qhx::forge {
namespace {

constexpr std::size_t kGroup = quant::kGroupSize;
constexpr std::size_t kWidth = kPanelWidth;
static_assert(kGroup % kWidth == 0);

// Parts of the scale with which nothing is cut off: small weights gain what the few largest lose.
constexpr float kScaleParts[] = {1.0f, 0.96f, 0.92f, 0.88f, 0.84f, 0.8f, 0.75f, 0.7f, 0.65f, 0.6f};

float nearest(float value, float scale) {
  constexpr float kLimit = quant::kInt4Limit;
  return std::clamp(std::nearbyint(value / scale), -kLimit, kLimit);
}

// The scale with the least weighted error of `targets`; 0 for zeros.
float choose_scale(const float* targets, const float* costs) {
  float largest = 0;
  for (std::size_t i = 0; i < kGroup; ++i) largest = std::max(largest, std::abs(targets[i]));
  const float full = largest / quant::kInt4Limit;
  if (!(full > 0)) return 0;
  float best = 0;
  double least = INFINITY;
  for (const float part : kScaleParts) {
    const float scale = quant::group_scale(full * part);
    double error = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const float miss = targets[i] - scale * nearest(targets[i], scale);
      error += static_cast<double>(costs[i] * miss * miss);
    }
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

// One group of one row while it is rounded.
struct GroupRow {
  const float* w;      // [32]
  float* targets;      // [32], used up
  float* errors;       // [32]
  std::int8_t* q;      // [32]
  const float* costs;  // [32]
  const ErrorFeedback& feedback;
  std::size_t first;  // input of the group

  // Returns the error of the outputs that this group adds.
  double round(float scale) {
    double sum = 0;
    for (std::size_t i = kGroup; i-- > 0;) {
      const float integer = scale > 0 ? nearest(targets[i], scale) : 0.0f;
      q[i] = static_cast<std::int8_t>(integer);
      const float miss = targets[i] - integer * scale;
      sum += static_cast<double>(costs[i]) * static_cast<double>(miss) * static_cast<double>(miss);
      errors[i] = w[i] - integer * scale;
      pass_on(i);
    }
    return sum;
  }

  // Adds what the error of input i changes for those of the group before it. (Those from i on,
  // whose coefficients are one and zeros, are done.)
  void pass_on(std::size_t i) {
    for (std::size_t p = 0; p <= i / kWidth; ++p) {
      const float* coefficients = feedback.panel(first / kWidth + p) + (i - p * kWidth) * kWidth;
      for (std::size_t c = 0; c < kWidth; ++c)
        targets[p * kWidth + c] += errors[i] * coefficients[c];
    }
  }
};

}  // namespace

double round_compensated(const float* w, std::size_t rows, const ErrorFeedback& feedback,
                         std::int8_t* q, float* scales) {
  const std::size_t width = feedback.width(), groups = width / kGroup;
  std::vector<float> errors(rows * width), targets(rows * kGroup);
  double sum = 0;
  for (std::size_t g = groups; g-- > 0;) {
    const std::size_t first = g * kGroup, after = first + kGroup;
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(w + r * width + first, kGroup, targets.data() + r * kGroup);
    for (std::size_t p = 0; p < kGroup / kWidth; ++p) {
      const std::size_t column = first + p * kWidth;
      multiply_panel({.x = errors.data() + after,
                      .x_stride = width,
                      .rows = rows,
                      .w = feedback.panel(column / kWidth) + (after - column) * kWidth,
                      .depth = width - after,
                      .sums = targets.data() + p * kWidth,
                      .sums_stride = kGroup});
    }
    const float* costs = feedback.costs().data() + first;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t at = r * width + first;
      GroupRow row{w + at, targets.data() + r * kGroup, errors.data() + at, q + at, costs, feedback,
                   first};
      const float scale = choose_scale(row.targets, costs);
      scales[r * groups + g] = scale;
      sum += row.round(scale);
    }
  }
  return sum;
}

double output_error(const float* e, std::size_t rows, const ErrorFeedback& feedback) {
  const std::size_t width = feedback.width();
  std::vector<float> sums(rows * kWidth);
  double error = 0;
  for (std::size_t first = 0; first < width; first += kWidth) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    multiply_panel({.x = e + first,
                    .x_stride = width,
                    .rows = rows,
                    .w = feedback.panel(first / kWidth),
                    .depth = width - first,
                    .sums = sums.data(),
                    .sums_stride = kWidth});
    for (std::size_t i = 0; i < sums.size(); ++i) {
      error += static_cast<double>(feedback.costs()[first + i % kWidth]) *
               static_cast<double>(sums[i]) * static_cast<double>(sums[i]);
    }
  }
  return error;
}

}  // namespace qhx::forge
