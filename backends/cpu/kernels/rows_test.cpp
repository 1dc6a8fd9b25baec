#include <numeric>

#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kWidths[] = {1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 2048};

class RowsTest : public KernelTest {};
QHX_ON_ALL_TARGETS(RowsTest);

struct Rows {
  Rows(std::size_t count, std::size_t n, unsigned seed)
      : x(random_floats(count * (n + 2) + 1, seed, -3.0f, 3.0f)),
        y(count, n, n + 3),
        args{x.data(), n + 2, y.data(), n + 3, count, n} {}
  const float* row(std::size_t r) const { return x.data() + r * args.x_stride; }
  std::vector<float> x;
  GuardedMatrix y;
  RowsArgs args;
};

TEST_P(RowsTest, RmsNorm) {
  for (const std::size_t n : kWidths) {
    Rows rows(3, n, 1);
    const std::vector<float> gamma = random_floats(n, 2);
    kernels().rms_norm(rows.args, gamma.data(), 1e-6f);
    EXPECT_TRUE(rows.y.intact());
    for (std::size_t r = 0; r < 3; ++r) {
      double squares = 0.0;
      for (std::size_t i = 0; i < n; ++i)
        squares += std::pow(static_cast<double>(rows.row(r)[i]), 2);
      const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-6);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_NEAR(rows.y.at(r, i), rows.row(r)[i] * factor * gamma[i], 2e-6);
    }
  }
}

TEST_P(RowsTest, LayerNorm) {
  for (const std::size_t n : kWidths) {
    for (const bool affine : {false, true}) {
      Rows rows(3, n, 3);
      const std::vector<float> gamma = random_floats(n, 4), beta = random_floats(n, 5);
      kernels().layer_norm(rows.args, affine ? gamma.data() : nullptr,
                           affine ? beta.data() : nullptr, 1e-5f);
      EXPECT_TRUE(rows.y.intact());
      for (std::size_t r = 0; r < 3; ++r) {
        const double mean =
            std::accumulate(rows.row(r), rows.row(r) + n, 0.0) / static_cast<double>(n);
        double squares = 0.0;
        for (std::size_t i = 0; i < n; ++i) squares += std::pow(rows.row(r)[i] - mean, 2);
        const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
        for (std::size_t i = 0; i < n; ++i) {
          const double normal = (rows.row(r)[i] - mean) * factor;
          ASSERT_NEAR(rows.y.at(r, i), affine ? normal * gamma[i] + beta[i] : normal, 4e-6) << n;
        }
      }
    }
  }
}

// The variance is that of the deviations: a large common offset must not drown it.
TEST_P(RowsTest, LayerNormOfARowFarFromZero) {
  std::vector<float> x(1024), y(1024);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 4096.0f + (i % 2 == 0 ? 1.0f : -1.0f);
  kernels().layer_norm({x.data(), 1024, y.data(), 1024, 1, 1024}, nullptr, nullptr, 0.0f);
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], i % 2 == 0 ? 1.0f : -1.0f, 1e-5);
}

TEST_P(RowsTest, Softmax) {
  for (const std::size_t n : kWidths) {
    for (const float beta : {1.0f, 20.0f, -0.5f}) {
      Rows rows(2, n, 6);
      kernels().softmax(rows.args, beta);
      EXPECT_TRUE(rows.y.intact());
      for (std::size_t r = 0; r < 2; ++r) {
        std::vector<double> e(n);
        double high = -HUGE_VAL;
        for (std::size_t i = 0; i < n; ++i)
          high = std::max(high, static_cast<double>(beta) * rows.row(r)[i]);
        for (std::size_t i = 0; i < n; ++i)
          e[i] = std::exp(static_cast<double>(beta) * rows.row(r)[i] - high);
        const double sum = std::accumulate(e.begin(), e.end(), 0.0);
        // beta * x is rounded in f32: 60 * 2^-24 at most moves the exponential by 4e-6 of itself.
        for (std::size_t i = 0; i < n; ++i)
          ASSERT_NEAR(rows.y.at(r, i), e[i] / sum, 5e-6 * e[i] / sum + 1e-30);
      }
    }
  }
}

TEST_P(RowsTest, SoftmaxOfMaskedRows) {
  const float low = -65504.0f;
  std::vector<float> x = {low, 1.0f, low, 1.0f, low, low}, even(6, low), y(6);
  kernels().softmax({x.data(), 6, y.data(), 6, 1, 6}, 1.0f);
  EXPECT_THAT(y, ::testing::ElementsAre(0.0f, 0.5f, 0.0f, 0.5f, 0.0f, 0.0f));
  kernels().softmax({even.data(), 6, y.data(), 6, 1, 6}, 1.0f);
  for (const float p : y) EXPECT_FLOAT_EQ(p, 1.0f / 6.0f);
  const float infinity = std::numeric_limits<float>::infinity();
  x[1] = x[2] = -infinity;
  kernels().softmax({x.data(), 6, y.data(), 6, 1, 6}, 1.0f);
  EXPECT_THAT(y, ::testing::ElementsAre(0.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f));
  even.assign(6, -infinity);
  kernels().softmax({even.data(), 6, y.data(), 6, 1, 6}, 0.25f);
  for (const float p : y) EXPECT_FLOAT_EQ(p, 1.0f / 6.0f);
}

TEST_P(RowsTest, Rope) {
  for (const std::size_t half : {1u, 3u, 4u, 8u, 9u, 16u, 64u}) {
    for (const bool interleaved : {false, true}) {
      for (const bool norm : {false, true}) {
        for (const std::size_t angle_stride : {std::size_t{0}, half + 1}) {
          const std::size_t d = 2 * half;
          Rows rows(3, d, 8);
          const std::vector<float> cos = random_floats(4 * (half + 1), 9),
                                   sin = random_floats(4 * (half + 1), 10);
          const std::vector<float> gamma = random_floats(d, 11);
          kernels().rope({rows.args, cos.data(), sin.data(), angle_stride, interleaved,
                          norm ? gamma.data() : nullptr, 1e-6f});
          EXPECT_TRUE(rows.y.intact());
          for (std::size_t r = 0; r < 3; ++r) {
            std::vector<double> x(rows.row(r), rows.row(r) + d);
            if (norm) {
              const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
              for (std::size_t i = 0; i < d; ++i)
                x[i] *= gamma[i] / std::sqrt(squares / static_cast<double>(d) + 1e-6);
            }
            for (std::size_t i = 0; i < half; ++i) {
              const std::size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : half + i;
              const double c = cos[r * angle_stride + i], s = sin[r * angle_stride + i];
              ASSERT_NEAR(rows.y.at(r, a), x[a] * c - x[b] * s, 2e-6);
              ASSERT_NEAR(rows.y.at(r, b), x[b] * c + x[a] * s, 2e-6);
            }
          }
        }
      }
    }
  }
}

TEST_P(RowsTest, InPlaceGivesTheSame) {
  const std::size_t n = 70;
  const std::vector<float> x = random_floats(2 * n, 12), gamma = random_floats(n, 13),
                           angle = random_floats(n, 14);
  const auto both = [&](auto run) {
    std::vector<float> apart(2 * n), same = x;
    run(RowsArgs{x.data(), n, apart.data(), n, 2, n});
    run(RowsArgs{same.data(), n, same.data(), n, 2, n});
    EXPECT_EQ(apart, same);
  };
  both([&](const RowsArgs& a) { kernels().rms_norm(a, gamma.data(), 1e-6f); });
  both([&](const RowsArgs& a) { kernels().layer_norm(a, gamma.data(), nullptr, 1e-6f); });
  both([&](const RowsArgs& a) { kernels().softmax(a, 2.0f); });
  for (const bool pairs : {false, true}) {
    both([&](const RowsArgs& a) {
      kernels().rope({a, angle.data(), angle.data(), 0, pairs, gamma.data(), 1e-6f});
    });
    both([&](const RowsArgs& a) {
      kernels().rope({a, angle.data(), angle.data(), 0, pairs, nullptr, 0.0f});
    });
  }
}

}  // namespace
}  // namespace qhx::cpu
