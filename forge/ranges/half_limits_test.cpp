// What the plan takes for granted about operations on 16-bit floats, asked of the vendor's own
// library (QHX_HTP_LIB_DIR names its x86 build): operations hold whatever their inputs and outputs
// hold, so measuring tensors is enough.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "base/f16.h"
#include "forge/arch/graph_ops.h"
#include "forge/arch/run_graph.h"
#include "forge/ranges/range.h"
#include "qnn/backend.h"

namespace qhx::forge {
namespace {

constexpr std::uint32_t kRows = 2, kWidth = 64;

class HalfLimits : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("QHX_HTP_LIB_DIR");
    if (folder == nullptr || *folder == '\0')
      GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set: no vendor library to ask";
    auto library = qnn::BackendLibrary::open(std::string(folder) + "/libQnnHtp.so");
    ASSERT_TRUE(library.ok()) << library.status();
    auto backend = qnn::Backend::create(*library, {.soc_model = 69});
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *backend;
  }

  using Build = std::function<qnn::Value(GraphOps&, const qnn::Value&)>;

  // y of the graph that `build` makes from x [1, 1, rows, width].
  std::vector<float> run(const std::vector<float>& x, std::uint32_t out_width, const Build& build) {
    auto context = qnn::Context::create(backend_);
    EXPECT_TRUE(context.ok()) << context.status();
    auto builder = qnn::GraphBuilder::create(*context, "graph");
    EXPECT_TRUE(builder.ok()) << builder.status();
    GraphOps ops(*builder, QNN_DATATYPE_FLOAT_16);
    const qnn::Value in = ops.input("x", {1, 1, kRows, kWidth});
    ops.reshape_into(build(ops, in), ops.output("y", {kRows, out_width}));
    const auto graph = std::move(*builder).finalize();
    EXPECT_TRUE(graph.ok()) << graph.status();
    if (!graph.ok()) return {};
    auto out = run_graph(*graph, {{"x", x}});
    EXPECT_TRUE(out.ok()) << out.status();
    return out.ok() ? (*out)["y"] : std::vector<float>();
  }

  // Values of both signs up to nearly the largest 16-bit float.
  static std::vector<float> large_values() {
    std::vector<float> x(kRows * kWidth);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = (i % 2 == 0 ? 1.0f : -1.0f) * (60000.0f - 100.0f * static_cast<float>(i));
    return x;
  }

  static VectorWeight vector(const char* name, float value) {
    return make_vector(name, {kWidth}, QNN_DATATYPE_FLOAT_16, std::vector<float>(kWidth, value))
        .value();
  }

  std::shared_ptr<const qnn::Backend> backend_;
};

TEST_F(HalfLimits, SumsInsideNormsDoNotOverflow) {
  const std::vector<float> x = large_values();
  const auto layer = run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) {
    return ops.layer_norm(in, Norm{vector("gamma", 1), vector("beta", 0)}, 1e-6f);
  });
  const auto rms = run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) {
    return ops.rms_norm(in, vector("gamma", 1), 1e-6f);
  });
  ASSERT_EQ(layer.size(), x.size());
  ASSERT_EQ(rms.size(), x.size());
  for (std::size_t r = 0; r < kRows; ++r) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; i < kWidth; ++i) mean += static_cast<double>(x[r * kWidth + i]);
    mean /= kWidth;
    for (std::size_t i = 0; i < kWidth; ++i) squares += std::pow(x[r * kWidth + i], 2.0);
    squares /= kWidth;
    for (std::size_t i = r * kWidth; i < (r + 1) * kWidth; ++i) {
      EXPECT_NEAR(rms[i], x[i] / std::sqrt(squares), 0.005) << i;
      EXPECT_NEAR(layer[i], (x[i] - mean) / std::sqrt(squares - mean * mean), 0.005) << i;
    }
  }
}

TEST_F(HalfLimits, ActivationFunctionsHoldTheirInputs) {
  const std::vector<float> x = large_values();
  const auto silu = run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) {
    return ops.multiply(in, ops.sigmoid(in));
  });
  const auto tanh =
      run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) { return ops.gelu_tanh(in); });
  const auto erf =
      run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) { return ops.gelu_erf(in); });
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float expected = std::max(x[i], 0.0f);
    for (const auto* y : {&silu, &tanh, &erf})
      EXPECT_NEAR((*y)[i], expected, 0.002f * expected + 0.001f) << i;
  }
}

TEST_F(HalfLimits, SoftmaxOfLargeScoresHasNoInfinities) {
  std::vector<float> x = large_values();
  x[1] = 0;
  const auto y =
      run(x, kWidth, [](GraphOps& ops, const qnn::Value& in) { return ops.softmax(in, 0.125f); });
  EXPECT_NEAR(y[0], 1.0f, 0.002f);
  for (std::size_t i = 1; i < kWidth; ++i) EXPECT_NEAR(y[i], 0.0f, 0.002f) << i;
}

// Weights and values whose products exceed 16-bit floats, but whose sums do not.
TEST_F(HalfLimits, ProductsAccumulateBeyondTheirType) {
  std::vector<float> x(kRows * kWidth, 30000.0f);
  LinearWeight weight{"w", {1, 1, kWidth, 1}, QNN_DATATYPE_FLOAT_16, AlignedBuffer(kWidth * 2), {}};
  const auto halves = weight.bytes.as<std::uint16_t>();
  for (std::size_t i = 0; i < kWidth; ++i) halves[i] = f32_to_f16(i % 2 == 0 ? 3.0f : -3.0f);
  halves[0] = f32_to_f16(4.0f);
  const auto y = run(x, 1, [&](GraphOps& ops, const qnn::Value& in) {
    return ops.linear(in, Linear{std::move(weight), std::nullopt});
  });
  for (const float value : y) EXPECT_NEAR(value, 30000.0f, 30.0f);
}

// Small 16-bit weights are not flushed to zero. The scales of int8 weights are kept as 16-bit
// floats, so small ones are rounded: why a plan makes no matrix smaller.
TEST_F(HalfLimits, SmallWeightsAreWhatSixteenBitsHold) {
  std::vector<float> x(kRows * kWidth);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = f16_to_f32(f32_to_f16(std::sin(static_cast<float>(i)) * 1000));
  for (const bool int8 : {true, false}) {
    for (const int exponent : {-8, -12, -16}) {  // of the largest weight
      const float scale = std::ldexp(1.0f / 127, exponent);
      const float kept = f16_to_f32(f32_to_f16(scale));
      LinearWeight weight{"w", {1, 1, kWidth, kWidth}, QNN_DATATYPE_FLOAT_16, {}, {}};
      weight.bytes = AlignedBuffer(kWidth * kWidth * (int8 ? 1 : 2));
      if (int8) weight.type = QNN_DATATYPE_SFIXED_POINT_8;
      if (int8) weight.scales.assign(kWidth, scale);
      std::vector<double> held;
      for (std::size_t i = 0; i < kWidth * kWidth; ++i) {
        const int q = static_cast<int>(i * 7919 % 255) - 127;
        const std::uint16_t half = f32_to_f16(static_cast<float>(q) * scale);
        held.push_back(static_cast<double>(int8 ? static_cast<float>(q) * kept : f16_to_f32(half)));
        if (int8) {
          weight.bytes.as<std::int8_t>()[i] = static_cast<std::int8_t>(q);
        } else {
          weight.bytes.as<std::uint16_t>()[i] = half;
        }
      }
      const auto y = run(x, kWidth, [&](GraphOps& ops, const qnn::Value& in) {
        return ops.linear(in, Linear{std::move(weight), std::nullopt});
      });
      double worst = 0, largest = 0;
      for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t n = 0; n < kWidth; ++n) {
          double sum = 0;
          for (std::size_t k = 0; k < kWidth; ++k)
            sum += static_cast<double>(x[r * kWidth + k]) * held[k * kWidth + n];
          worst = std::max(worst, std::abs(sum - static_cast<double>(y[r * kWidth + n])));
          largest = std::max(largest, std::abs(sum));
        }
      }
      EXPECT_LT(worst / largest, 2e-3)
          << (int8 ? "int8" : "f16") << " weights up to 2^" << exponent;
    }
  }
}

}  // namespace
}  // namespace qhx::forge
