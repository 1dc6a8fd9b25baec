#include <algorithm>
#include <limits>

#include "base/f16.h"
#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kSizes[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 100};

class ElementwiseTest : public KernelTest {
 protected:
  float one(UnaryOp op, float x) const {
    float y = 0.0f;
    kernels().unary(op, &x, &y, 1);
    return y;
  }

  // Over [low, high] and 0: |y - f(x)| <= relative * |f(x)| + absolute.
  template <class F>
  void check(UnaryOp op, float low, float high, double relative, double absolute, F f) {
    constexpr std::size_t kCount = 200001;
    std::vector<float> x(kCount), y(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      x[i] = low + (high - low) * static_cast<float>(i) / static_cast<float>(kCount - 1);
    }
    x[0] = 0.0f < low ? low : 0.0f;
    kernels().unary(op, x.data(), y.data(), kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double want = f(static_cast<double>(x[i]));
      ASSERT_NEAR(y[i], want, relative * std::abs(want) + absolute)
          << "op " << static_cast<int>(op) << " x " << x[i];
    }
  }
};
QHX_ON_ALL_TARGETS(ElementwiseTest);

double exact_gelu_tanh(double x) {
  return x / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST_P(ElementwiseTest, FunctionsAreAccurate) {
  check(UnaryOp::kExp, -87.0f, 88.7f, 2e-7, 0.0, [](double x) { return std::exp(x); });
  check(UnaryOp::kExp, -110.0f, -87.0f, 2e-7, 1.5e-45, [](double x) { return std::exp(x); });
  check(UnaryOp::kSigmoid, -80.0f, 80.0f, 5e-7, 0.0,
        [](double x) { return 1.0 / (1.0 + std::exp(-x)); });
  check(UnaryOp::kTanh, -12.0f, 12.0f, 4e-7, 0.0, [](double x) { return std::tanh(x); });
  check(UnaryOp::kTanh, -1.0f, 1.0f, 4e-7, 0.0, [](double x) { return std::tanh(x); });
  check(UnaryOp::kSilu, -80.0f, 80.0f, 1e-6, 0.0,
        [](double x) { return x / (1.0 + std::exp(-x)); });
  check(UnaryOp::kGeluTanh, -20.0f, 20.0f, 1e-6, 1e-7, exact_gelu_tanh);
  check(UnaryOp::kGeluErf, -20.0f, 20.0f, 1e-6, 1e-7,
        [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); });
  check(UnaryOp::kSqrt, 0.0f, 100.0f, 1e-7, 0.0, [](double x) { return std::sqrt(x); });
  check(UnaryOp::kRsqrt, 0.01f, 100.0f, 2e-7, 0.0, [](double x) { return 1.0 / std::sqrt(x); });
  check(UnaryOp::kReciprocal, 0.01f, 100.0f, 1e-7, 0.0, [](double x) { return 1.0 / x; });
  check(UnaryOp::kRelu, -2.0f, 2.0f, 0.0, 0.0, [](double x) { return std::max(x, 0.0); });
  check(UnaryOp::kNeg, -2.0f, 2.0f, 0.0, 0.0, [](double x) { return -x; });
  check(UnaryOp::kAbs, -2.0f, 2.0f, 0.0, 0.0, [](double x) { return std::abs(x); });
}

TEST_P(ElementwiseTest, FunctionsAtTheEnds) {
  EXPECT_EQ(one(UnaryOp::kExp, 0.0f), 1.0f);
  EXPECT_EQ(one(UnaryOp::kExp, 100.0f), kInf);
  EXPECT_EQ(one(UnaryOp::kExp, kInf), kInf);
  EXPECT_EQ(one(UnaryOp::kExp, -200.0f), 0.0f);
  EXPECT_EQ(one(UnaryOp::kExp, -kInf), 0.0f);
  EXPECT_EQ(one(UnaryOp::kSigmoid, kInf), 1.0f);
  EXPECT_EQ(one(UnaryOp::kSigmoid, -kInf), 0.0f);
  EXPECT_EQ(one(UnaryOp::kTanh, kInf), 1.0f);
  EXPECT_EQ(one(UnaryOp::kTanh, -kInf), -1.0f);
  EXPECT_EQ(one(UnaryOp::kTanh, 1e-20f), 1e-20f);
  for (const UnaryOp op : {UnaryOp::kSilu, UnaryOp::kGeluTanh, UnaryOp::kGeluErf}) {
    EXPECT_EQ(one(op, 0.0f), 0.0f);
    EXPECT_EQ(one(op, 1e4f), 1e4f);
    EXPECT_EQ(one(op, 1e30f), 1e30f);
    EXPECT_EQ(one(op, kInf), kInf);
    EXPECT_EQ(one(op, -1e4f), 0.0f);
    EXPECT_EQ(one(op, -1e30f), 0.0f);
  }
  for (const UnaryOp op :
       {UnaryOp::kExp, UnaryOp::kSigmoid, UnaryOp::kTanh, UnaryOp::kSilu, UnaryOp::kGeluTanh,
        UnaryOp::kGeluErf, UnaryOp::kNeg, UnaryOp::kAbs, UnaryOp::kSqrt}) {
    EXPECT_TRUE(std::isnan(one(op, kNan))) << static_cast<int>(op);
  }
}

TEST_P(ElementwiseTest, UnaryStaysInside) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> x = random_floats(n + 1, 1);
    GuardedMatrix y(1, n, n + 1);
    kernels().unary(UnaryOp::kNeg, x.data(), y.data(), n);
    EXPECT_TRUE(y.intact());
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(y.at(0, i), -x[i]);
  }
}

TEST_P(ElementwiseTest, Binary) {
  const auto exact = [](BinaryOp op, float a, float b) {
    switch (op) {
      case BinaryOp::kAdd:
        return a + b;
      case BinaryOp::kSub:
        return a - b;
      case BinaryOp::kMul:
        return a * b;
      case BinaryOp::kDiv:
        return a / b;
      case BinaryOp::kMax:
        return std::max(a, b);
      case BinaryOp::kMin:
        return std::min(a, b);
    }
    return 0.0f;
  };
  for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv,
                            BinaryOp::kMax, BinaryOp::kMin}) {
    for (const std::size_t n : kSizes) {
      for (const std::size_t a_step : {0u, 1u}) {
        for (const std::size_t b_step : {0u, 1u}) {
          const std::vector<float> a = random_floats(n + 1, 2), b = random_floats(n + 1, 3);
          GuardedMatrix y(1, n, n + 1);
          kernels().binary(op, a.data(), a_step, b.data(), b_step, y.data(), n);
          EXPECT_TRUE(y.intact());
          for (std::size_t i = 0; i < n; ++i)
            ASSERT_EQ(y.at(0, i), exact(op, a[i * a_step], b[i * b_step]));
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, BinaryInPlaceOnEitherOperand) {
  const std::vector<float> a = random_floats(40, 4), b = random_floats(40, 5);
  for (const std::size_t a_step : {0u, 1u}) {
    for (const std::size_t b_step : {0u, 1u}) {
      std::vector<float> want(40), on_a = a, on_b = b;
      kernels().binary(BinaryOp::kSub, a.data(), a_step, b.data(), b_step, want.data(), 40);
      kernels().binary(BinaryOp::kSub, on_a.data(), a_step, b.data(), b_step, on_a.data(), 40);
      kernels().binary(BinaryOp::kSub, a.data(), a_step, on_b.data(), b_step, on_b.data(), 40);
      EXPECT_EQ(want, on_a);
      EXPECT_EQ(want, on_b);
    }
  }
}

TEST_P(ElementwiseTest, SiluMul) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> gate = random_floats(n + 1, 6, -9.0f, 9.0f),
                             up = random_floats(n + 1, 7);
    GuardedMatrix y(1, n, n + 1);
    kernels().silu_mul(gate.data(), up.data(), y.data(), n);
    EXPECT_TRUE(y.intact());
    for (std::size_t i = 0; i < n; ++i) {
      const double want = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * up[i];
      ASSERT_NEAR(y.at(0, i), want, 2e-6 * std::abs(want));
    }
  }
}

TEST_P(ElementwiseTest, EveryHalfWidensExactly) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> floats(halves.size());
  kernels().f16_to_f32(halves.data(), floats.data(), halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const float want = f16_to_f32(halves[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(floats[i]));
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[i]), std::bit_cast<std::uint32_t>(want)) << i;
    }
  }
}

TEST_P(ElementwiseTest, FloatsNarrowAsBaseDoes) {
  std::vector<float> floats = {0.0f,     -0.0f,        kInf,      -kInf,    kNan,
                               65504.0f, 65519.99f,    65520.0f,  1e30f,    0x1p-24f,
                               0x1p-25f, 0x1.002p-25f, -0x1p-25f, 0x1p-14f, 1e-10f};
  std::mt19937 random(8);
  for (int i = 0; i < 200000; ++i) {
    // Exponents around those of halves, and midpoints between two halves among them.
    const std::uint32_t bits =
        (random() & 0x80001FFFu) | (100u + random() % 45u) << 23 | (random() & 0x7FE000u);
    floats.push_back(std::bit_cast<float>(i % 4 == 0 ? (bits & ~0x1FFFu) | 0x1000u : bits));
  }
  std::vector<std::uint16_t> halves(floats.size());
  kernels().f32_to_f16(floats.data(), halves.data(), floats.size());
  for (std::size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) {
      ASSERT_TRUE(std::isnan(f16_to_f32(halves[i])));
    } else {
      ASSERT_EQ(halves[i], f32_to_f16(floats[i])) << floats[i];
    }
  }
}

TEST_P(ElementwiseTest, ConversionsStayInside) {
  for (const std::size_t n : kSizes) {
    const std::vector<std::uint16_t> halves(n + 1, 0x3C00);
    GuardedMatrix floats(1, n, n + 1);
    kernels().f16_to_f32(halves.data(), floats.data(), n);
    EXPECT_TRUE(floats.intact());
    std::vector<std::uint16_t> back(n + 64, 0xABCD);
    kernels().f32_to_f16(floats.data(), back.data(), n);
    for (std::size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i], i < n ? 0x3C00 : 0xABCD);
  }
}

TEST_P(ElementwiseTest, ArgmaxIsTheFirstLargest) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 100u, 3000u}) {
    for (std::size_t at = 0; at < n; at += n < 1000 ? 1 : 97) {
      std::vector<float> x = random_floats(n, 9);
      x[at] = 5.0f;
      x[n - 1] = 5.0f;
      EXPECT_EQ(kernels().argmax(x.data(), n), at);
    }
    const std::vector<float> low(n, -kInf), nan(n, kNan);
    EXPECT_EQ(kernels().argmax(low.data(), n), 0u);
    EXPECT_EQ(kernels().argmax(nan.data(), n), 0u);
  }
  std::vector<float> x(40, -1.0f);
  for (std::size_t i = 0; i < 40; i += 3) x[i] = kNan;
  x[20] = 0.5f;
  EXPECT_EQ(kernels().argmax(x.data(), 40), 20u);
}

}  // namespace
}  // namespace qhx::cpu
