// What the vendor's library makes of operations on 16-bit integers, if QHX_HTP_LIB_DIR names it.
#include "forge/arch/integer_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>

#include "base/f16.h"
#include "forge/arch/graph_ops.h"
#include "forge/arch/run_graph.h"
#include "qnn/backend.h"

namespace qhx::forge {
namespace {

constexpr std::uint32_t kRows = 64, kColumns = 256;

std::vector<float> halves(std::uint32_t seed, float deviation) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(std::size_t{kRows} * kColumns);
  for (float& value : values) value = f16_to_f32(f32_to_f16(normal(random)));
  return values;
}

class Integers : public ::testing::Test {
 protected:
  using Build = std::function<IntegerValue(IntegerOps&, const IntegerValue&, const IntegerValue&)>;
  using Exact = std::function<double(double, double)>;

  void SetUp() override {
    const char* folder = std::getenv("QHX_HTP_LIB_DIR");
    if (folder == nullptr) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
    library_ = std::string(folder) + "/libQnnHtp.so";
  }

  // Noise of the result, as a part of its power.
  double noise(const Build& build, const Exact& exact, float reach) {
    const std::vector<float> a = halves(1, 2), b = halves(2, 2);
    const auto found = run(build, a, b, reach);
    EXPECT_TRUE(found.ok()) << found.status();
    if (!found.ok()) return 1;
    double power = 0, error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double expected = exact(static_cast<double>(a[i]), static_cast<double>(b[i]));
      power += expected * expected;
      error += std::pow(static_cast<double>((*found)[i]) - expected, 2);
    }
    return error / power;
  }

  Result<std::vector<float>> run(const Build& build, const std::vector<float>& a,
                                 const std::vector<float>& b, float reach) {
    QHX_ASSIGN_OR_RETURN(const auto library, qnn::BackendLibrary::open(library_));
    QHX_ASSIGN_OR_RETURN(const auto backend, qnn::Backend::create(library, {.soc_model = 69}));
    QHX_ASSIGN_OR_RETURN(const auto context, qnn::Context::create(backend));
    QHX_ASSIGN_OR_RETURN(qnn::GraphBuilder builder, qnn::GraphBuilder::create(context, "graph"));
    GraphOps floats(builder, QNN_DATATYPE_FLOAT_16);
    IntegerOps integers(builder);
    const qnn::Dims dims = {1, 1, kRows, kColumns};
    const IntegerValue x = integers.quantize(floats.input("a", dims), reach);
    const IntegerValue y = integers.quantize(floats.input("b", dims), reach);
    floats.reshape_into(integers.dequantize(build(integers, x, y)), floats.output("out", dims));
    QHX_ASSIGN_OR_RETURN(const qnn::Graph graph, std::move(builder).finalize());
    QHX_ASSIGN_OR_RETURN(FloatTensors out, run_graph(graph, {{"a", a}, {"b", b}}));
    return out["out"];
  }

  std::string library_;
};

// Values spread by 2 in steps of 32 / 65535: their own noise is 5e-9.
constexpr float kReach = 16;

TEST_F(Integers, Multiply) {
  EXPECT_LT(noise([](IntegerOps& ops, const IntegerValue& x,
                     const IntegerValue& y) { return ops.multiply(x, y, 4 * kReach); },
                  [](double a, double b) { return a * b; }, kReach),
            5e-7);
}

TEST_F(Integers, Silu) {
  EXPECT_LT(noise([](IntegerOps& ops, const IntegerValue& x,
                     const IntegerValue&) { return ops.silu(x, kReach); },
                  [](double a, double) { return a / (1 + std::exp(-a)); }, kReach),
            5e-7);
}

TEST_F(Integers, Gelu) {
  EXPECT_LT(noise([](IntegerOps& ops, const IntegerValue& x,
                     const IntegerValue&) { return ops.gelu_tanh(x, kReach); },
                  [](double a, double) {
                    return 0.5 * a * (1 + std::tanh(0.7978845608 * (a + 0.044715 * a * a * a)));
                  },
                  kReach),
            5e-7);
}

Linear drawn(std::uint32_t k, std::uint32_t n) {
  std::mt19937 random(11);
  Linear out;
  out.weight.name = "w";
  out.weight.dims = {1, 1, k, n};
  out.weight.type = QNN_DATATYPE_SFIXED_POINT_8;
  out.weight.bytes = AlignedBuffer(std::size_t{k} * n);
  std::normal_distribution<float> normal(0, 36);
  for (auto& b : out.weight.bytes.bytes())
    b = static_cast<std::byte>(
        static_cast<std::int8_t>(std::clamp(std::lround(normal(random)), -127L, 127L)));
  std::uniform_real_distribution<float> scale(0.0005f, 0.001f);
  for (std::uint32_t i = 0; i < n; ++i) out.weight.scales.push_back(scale(random));
  std::vector<float> values(n);
  for (float& v : values) v = normal(random) * 0.05f;
  out.bias = make_vector("b", {n}, QNN_DATATYPE_FLOAT_16, values).value();
  return out;
}

// Noise of [rows, k] x [k, 128], with a bias.
double linear_noise(const std::string& library_file, std::uint32_t rows, std::uint32_t k) {
  constexpr std::uint32_t kOutputs = 128;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(std::size_t{rows} * k);
  for (float& v : x) v = f16_to_f32(f32_to_f16(normal(random)));
  const Linear w = drawn(k, kOutputs);
  const auto library = qnn::BackendLibrary::open(library_file).value();
  const auto backend = qnn::Backend::create(library, {.soc_model = 69}).value();
  const auto context = qnn::Context::create(backend).value();
  auto builder = qnn::GraphBuilder::create(context, "graph").value();
  GraphOps floats(builder, QNN_DATATYPE_FLOAT_16);
  IntegerOps integers(builder);
  const IntegerValue in = integers.quantize(floats.input("a", {1, 1, rows, k}), kReach);
  floats.reshape_into(integers.dequantize(integers.linear(in, w, 2 * kReach)),
                      floats.output("out", {1, 1, rows, kOutputs}));
  const auto graph = std::move(builder).finalize();
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) return 1;
  const std::vector<float> found = run_graph(*graph, {{"a", x}}).value().at("out");
  const auto weights = w.weight.bytes.bytes();
  double power = 0, error = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t n = 0; n < kOutputs; ++n) {
      double sum = 0;
      for (std::size_t i = 0; i < k; ++i)
        sum +=
            static_cast<double>(x[r * k + i]) * static_cast<std::int8_t>(weights[i * kOutputs + n]);
      std::uint16_t bias = 0;
      std::memcpy(&bias, w.bias->bytes.data() + n * sizeof bias, sizeof bias);
      const double expected =
          sum * static_cast<double>(w.weight.scales[n]) + static_cast<double>(f16_to_f32(bias));
      power += expected * expected;
      error += std::pow(static_cast<double>(found[r * kOutputs + n]) - expected, 2);
    }
  }
  return error / power;
}

TEST_F(Integers, Linears) {
  for (const std::uint32_t rows : {1u, 7u, 64u})
    EXPECT_LT(linear_noise(library_, rows, 2048), 5e-7) << rows << " rows";
  EXPECT_LT(linear_noise(library_, 64, 6144), 5e-7);
}

TEST(TakesIntegers, NotOfSixteenRowsNorIn32BitFloats) {
  const Linear w = drawn(256, 128);
  EXPECT_FALSE(takes_integers(QNN_DATATYPE_FLOAT_16, 16, w));
  EXPECT_TRUE(takes_integers(QNN_DATATYPE_FLOAT_16, 17, w));
  EXPECT_FALSE(takes_integers(QNN_DATATYPE_FLOAT_32, 17, w));
}

}  // namespace
}  // namespace qhx::forge
