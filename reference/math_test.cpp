#include "reference/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace qhx::reference {
namespace {

Matrix random_matrix(std::size_t rows, std::size_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix x(rows, columns);
  for (float& value : x.values) value = normal(random);
  return x;
}

TEST(LinearLayer, EqualsTheSumInDoubleForAnyShape) {
  ThreadPool pool(2);
  for (const std::size_t in : {1u, 15u, 16u, 17u, 100u}) {
    for (const std::size_t out : {1u, 3u, 4u, 5u, 9u}) {
      const Matrix x = random_matrix(3, in, 1);
      Linear linear{random_matrix(out, in, 2), random_matrix(1, out, 3).values};
      for (const bool bias : {true, false}) {
        if (!bias) linear.bias.clear();
        const Matrix y = apply(linear, x, pool);
        for (std::size_t r = 0; r < 3; ++r) {
          for (std::size_t o = 0; o < out; ++o) {
            double sum = bias ? static_cast<double>(linear.bias[o]) : 0.0;
            for (std::size_t k = 0; k < in; ++k) {
              sum +=
                  static_cast<double>(x.row(r)[k]) * static_cast<double>(linear.weight.row(o)[k]);
            }
            EXPECT_NEAR(y.row(r)[o], sum, 1e-5) << in << " " << out;
          }
        }
      }
    }
  }
}

TEST(Norms, HaveTheirMoments) {
  Matrix x = random_matrix(2, 64, 4);
  for (float& value : x.values) value = value * 3 + 5;
  const LayerNorm norm{std::vector<float>(64, 2.0f), std::vector<float>(64, 1.0f), 1e-6f};
  const Matrix y = apply(norm, x);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    sum += y.row(1)[i];
    squares += (y.row(1)[i] - 1.0) * (y.row(1)[i] - 1.0);
  }
  EXPECT_NEAR(sum / 64, 1.0, 1e-5);
  EXPECT_NEAR(squares / 64, 4.0, 1e-4);

  rms_norm(std::vector<float>(16, 3.0f), 0.0f, x);  // four heads a row
  for (std::size_t begin = 0; begin < x.values.size(); begin += 16) {
    double piece = 0;
    for (std::size_t i = begin; i < begin + 16; ++i)
      piece += static_cast<double>(x.values[i]) * x.values[i];
    EXPECT_NEAR(piece / 16, 9.0, 1e-4);
  }
  Matrix zero(1, 4);
  rms_norm(std::vector<float>(4, 1.0f), 1e-6f, zero);
  EXPECT_EQ(zero.values[3], 0.0f);
}

TEST(RotateHeads, TurnsPairs) {
  Matrix x(1, 8);  // two heads of 4
  x.values = {1, 2, 3, 4, 5, 6, 7, 8};
  const float cos[] = {0.0f, 1.0f}, sin[] = {1.0f, 0.0f};
  rotate_heads(x, 4, cos, sin);
  EXPECT_EQ(x.values, (std::vector<float>{-3, 2, 1, 4, -7, 6, 5, 8}));
}

TEST(Activations, KnownValues) {
  EXPECT_NEAR(gelu_erf(1.0f), 0.8413447f, 1e-6f);
  EXPECT_NEAR(gelu_tanh(1.0f), 0.8411920f, 1e-6f);
  EXPECT_NEAR(gelu_erf(-2.0f), -0.0455003f, 1e-6f);
  EXPECT_NEAR(silu(1.0f), 0.7310586f, 1e-6f);
  EXPECT_EQ(silu(-200.0f), -0.0f);
  EXPECT_EQ(gelu_tanh(0.0f), 0.0f);
}

TEST(Attention, AveragesWhatItSees) {
  ThreadPool pool(2);
  const Matrix q(2, 4);  // zeros: all keys weigh the same; two heads of 2, one key-value head
  const Matrix k = random_matrix(3, 2, 5);
  Matrix v(3, 2);
  v.values = {1, 10, 2, 20, 6, 60};
  const Matrix all = attention({2, 1, 2, false}, q, k, v, pool);
  for (const float value : {all.row(0)[0], all.row(1)[2]}) EXPECT_NEAR(value, 3.0f, 1e-6f);
  const Matrix causal = attention({2, 1, 2, true}, q, k, v, pool);
  EXPECT_NEAR(causal.row(0)[1], 15.0f, 1e-5f);  // the first of two queries sees two of three
  EXPECT_NEAR(causal.row(1)[3], 30.0f, 1e-5f);
}

TEST(Attention, ScalesByTheRootOfTheHead) {
  ThreadPool pool(1);
  Matrix q(1, 4), k(2, 4), v(2, 4);
  q.values = {2, 0, 0, 0};
  k.row(1)[0] = 1.0f;  // score 2 / sqrt(4) = 1 against 0
  v.row(1)[0] = 1.0f;
  EXPECT_NEAR(attention({1, 1, 4, false}, q, k, v, pool).values[0], 1.0 / (1.0 + std::exp(-1.0)),
              1e-6);
}

}  // namespace
}  // namespace qhx::reference
