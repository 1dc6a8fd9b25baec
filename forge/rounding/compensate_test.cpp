#include "forge/rounding/compensate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/f16.h"
#include "forge/quant/quantize.h"

namespace qhx::forge {
namespace {

// Inputs that move together: a few factors and some noise, as activations are.
reference::Matrix correlated_inputs(std::size_t rows, std::size_t width, unsigned seed) {
  std::mt19937 random(seed), mixing_random(3);
  std::normal_distribution<float> normal;
  constexpr std::size_t kFactors = 12;
  std::vector<float> mixing(kFactors * width);
  for (float& v : mixing) v = normal(mixing_random);
  reference::Matrix x(rows, width);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t f = 0; f < kFactors; ++f) {
      const float factor = normal(random);
      for (std::size_t i = 0; i < width; ++i) x.row(r)[i] += factor * mixing[f * width + i];
    }
    for (std::size_t i = 0; i < width; ++i) x.row(r)[i] += 0.5f * normal(random);
  }
  return x;
}

std::vector<float> random_weights(std::size_t count) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> w(count);
  for (float& v : w) v = normal(random);
  return w;
}

// Sum of (x e)^2 over all rows of x and of e, in double.
double naive_error(const reference::Matrix& x, const std::vector<float>& e, std::size_t rows) {
  double sum = 0;
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t o = 0; o < rows; ++o) {
      double value = 0;
      for (std::size_t i = 0; i < x.columns; ++i)
        value += static_cast<double>(x.row(r)[i]) * static_cast<double>(e[o * x.columns + i]);
      sum += value * value;
    }
  }
  return sum;
}

class Compensate : public ::testing::Test {
 protected:
  ErrorFeedback feedback(const reference::Matrix& x, float damping) {
    SecondMoments moments(x.columns);
    moments.add(x, pool_);
    return std::move(ErrorFeedback::make(moments, damping, pool_)).value();
  }
  ThreadPool pool_{3};
};

TEST_F(Compensate, MomentsAreThoseOfAllRowsInAnyParts) {
  const reference::Matrix a = correlated_inputs(7, 48, 1), b = correlated_inputs(20, 48, 2);
  SecondMoments moments(48);
  moments.add(a, pool_);
  moments.add(b, pool_);
  EXPECT_EQ(moments.rows(), 27u);
  double trace = 0;
  for (std::size_t i = 0; i < 48; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (const reference::Matrix* x : {&a, &b}) {
        for (std::size_t r = 0; r < x->rows; ++r)
          sum += static_cast<double>(x->row(r)[i]) * static_cast<double>(x->row(r)[j]);
      }
      ASSERT_NEAR(moments.row(i)[j], sum, 1e-3 + 1e-5 * std::abs(sum)) << i << ", " << j;
      if (i == j) trace += sum;
    }
  }
  EXPECT_NEAR(moments.mean_of_diagonal(), trace / 48, 1e-5 * trace);
}

// The factors multiplied out are the moments again, whatever the number of panels and chunks.
TEST_F(Compensate, FactorsGiveTheMomentsBack) {
  for (const std::size_t width : {16, 32, 112, 240}) {
    const reference::Matrix x = correlated_inputs(2 * width, width, 4);
    SecondMoments moments(width);
    moments.add(x, pool_);
    const auto feedback = ErrorFeedback::make(moments, 0.01f, pool_);
    ASSERT_TRUE(feedback.ok()) << feedback.status();
    const auto unit = [&](std::size_t i, std::size_t k) -> double {
      const std::size_t first = k / kPanelWidth * kPanelWidth;
      return i < k ? 0.0
                   : static_cast<double>(
                         feedback->panel(k / kPanelWidth)[(i - first) * kPanelWidth + k - first]);
    };
    const double mean = static_cast<double>(moments.mean_of_diagonal());
    for (std::size_t i = 0; i < width; ++i) {
      EXPECT_EQ(unit(i, i), 1.0);
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = i == j ? -0.01 * mean : 0;
        for (std::size_t k = 0; k <= j; ++k)
          sum += static_cast<double>(feedback->costs()[k]) * unit(i, k) * unit(j, k);
        ASSERT_NEAR(sum, moments.row(i)[j], 1e-4 * mean) << width << ": " << i << ", " << j;
      }
    }
  }
}

TEST_F(Compensate, OutputErrorIsThatOfTheOutputs) {
  constexpr std::size_t kRows = 5, kWidth = 96;
  const reference::Matrix x = correlated_inputs(300, kWidth, 6);
  const std::vector<float> e = random_weights(kRows * kWidth);
  const double expected = naive_error(x, e, kRows);
  EXPECT_NEAR(output_error(e.data(), kRows, feedback(x, 1e-6f)), expected, 1e-3 * expected);
}

TEST_F(Compensate, OutputsAreNearerThanWithNearestRounding) {
  constexpr std::size_t kRows = 40, kWidth = 256;
  const reference::Matrix x = correlated_inputs(600, kWidth, 7);
  const std::vector<float> w = random_weights(kRows * kWidth);
  const ErrorFeedback from = feedback(x, 0.01f);
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(w.size() / 32), back(w.size()), e(w.size());
  const double told = round_compensated(w.data(), kRows, from, q.data(), scales.data());
  EXPECT_TRUE(std::all_of(q.begin(), q.end(), [](int v) { return v >= -7 && v <= 7; }));
  for (const float scale : scales) EXPECT_EQ(scale, f16_to_f32(f32_to_f16(scale)));
  quant::dequantize(q.data(), scales.data(), kRows, kWidth, 32, back.data());
  std::transform(w.begin(), w.end(), back.begin(), e.begin(), std::minus<>());
  EXPECT_NEAR(told, output_error(e.data(), kRows, from), 1e-3 * told);
  // On inputs that were not seen.
  const reference::Matrix fresh = correlated_inputs(400, kWidth, 8);
  const double compensated = naive_error(fresh, e, kRows);
  back = w;
  quant::round_to_grouped_4bit(back.data(), kRows, kWidth, 32);
  std::transform(w.begin(), w.end(), back.begin(), e.begin(), std::minus<>());
  EXPECT_LT(compensated, 0.5 * naive_error(fresh, e, kRows));
}

TEST_F(Compensate, RowsDoNotDependOnEachOther) {
  constexpr std::size_t kWidth = 64;
  const std::vector<float> w = random_weights(9 * kWidth);
  const ErrorFeedback from = feedback(correlated_inputs(100, kWidth, 9), 0.01f);
  std::vector<std::int8_t> all(w.size()), one(kWidth);
  std::vector<float> scales(9 * 2), scale(2);
  round_compensated(w.data(), 9, from, all.data(), scales.data());
  for (std::size_t r = 0; r < 9; ++r) {
    round_compensated(w.data() + r * kWidth, 1, from, one.data(), scale.data());
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + static_cast<long>(r * kWidth)));
  }
}

TEST_F(Compensate, InputsThatAreAlwaysZeroAndWeightsThatAre) {
  reference::Matrix x = correlated_inputs(50, 64, 10);
  for (std::size_t r = 0; r < x.rows; ++r) std::fill_n(x.row(r) + 32, 32, 0.0f);
  std::vector<float> w = random_weights(2 * 64);
  std::fill_n(w.begin(), 32, 0.0f);
  std::vector<std::int8_t> q(w.size());
  std::vector<float> scales(4);
  const double error = round_compensated(w.data(), 2, feedback(x, 0.01f), q.data(), scales.data());
  EXPECT_TRUE(std::isfinite(error));
  // Nothing was ever seen: plain moments of one.
  const ErrorFeedback unseen = feedback(reference::Matrix(3, 64), 0.01f);
  round_compensated(w.data(), 2, unseen, q.data(), scales.data());
  EXPECT_EQ(scales[0], 0.0f);
  EXPECT_TRUE(std::all_of(q.begin(), q.begin() + 32, [](int v) { return v == 0; }));
  for (std::size_t i = 32; i < 64; ++i)
    EXPECT_NEAR(static_cast<float>(q[i]) * scales[1], w[i], scales[1] * 1.5f);
}

TEST_F(Compensate, MomentsThatAreNoNumbersAreAnError) {
  reference::Matrix x = correlated_inputs(50, 32, 11);
  x.row(3)[5] = NAN;
  SecondMoments moments(32);
  moments.add(x, pool_);
  EXPECT_EQ(ErrorFeedback::make(moments, 0.01f, pool_).status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace qhx::forge
