#include <algorithm>

#include "kernels/test_layer.h"

namespace qhx::cpu {
namespace {

class LinearTest : public KernelTest {
 protected:
  void run(const LinearArgs& args, const Slice& slice) {
    AlignedBuffer scratch(kernels().gemm_scratch_bytes);
    kernels().linear(args, slice, scratch.data());
  }

  // One layer on m rows against double precision. f32 accumulation of k products in some order errs
  // by at most k * 2^-24 * sum |x w|, in practice by far less; the activations add 2e-6.
  void check(WeightType type, std::size_t m, std::size_t n, std::size_t k, std::size_t group,
             Activation activation, bool bias, bool residual) {
    SCOPED_TRACE(::testing::Message()
                 << "type " << static_cast<int>(type) << " m " << m << " n " << n << " k " << k
                 << " group " << group << " act " << static_cast<int>(activation));
    const Layer layer(type, n, k, group, bias, 11);
    const std::size_t x_stride = k + 3;
    const std::vector<float> x = random_floats(m * x_stride + 1, 5);
    const std::vector<float> r = random_floats(m * (n + 2) + 1, 6);
    GuardedMatrix y(m, n, n + 5);
    run({.weights = &layer.weights,
         .x = x.data(),
         .x_stride = x_stride,
         .y = y.data(),
         .y_stride = y.stride(),
         .activation = activation,
         .residual = residual ? r.data() : nullptr,
         .residual_stride = n + 2},
        {.row_end = m, .panel_end = panel_count(n)});
    EXPECT_TRUE(y.intact());
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t c = 0; c < n; ++c) {
        double sum = bias ? layer.bias[c] : 0.0, size = std::abs(sum);
        for (std::size_t j = 0; j < k; ++j) {
          const double product = layer.exact[c * k + j] * x[i * x_stride + j];
          sum += product;
          size += std::abs(product);
        }
        const double want = activated(activation, sum) + (residual ? r[i * (n + 2) + c] : 0.0);
        ASSERT_NEAR(y.at(i, c), want, 4e-7 * size + 2e-6 * std::abs(want) + 1e-6) << i << " " << c;
      }
    }
  }
};
QHX_ON_ALL_TARGETS(LinearTest);

constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kF16, WeightType::kI8,
                                 WeightType::kI4};

TEST_P(LinearTest, EdgeSizes) {
  for (const WeightType type : kTypes) {
    for (const std::size_t m : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 13u}) {
      for (const std::size_t n : {1u, 15u, 16u, 17u, 33u}) {
        for (const std::size_t k : {1u, 2u, 31u, 32u, 33u, 100u}) {
          check(type, m, n, k, 0, Activation::kNone, (m + n + k) % 2 == 0, (m + k) % 3 == 0);
        }
      }
    }
  }
}

TEST_P(LinearTest, GroupsOfAnySize) {
  for (const WeightType type : {WeightType::kI8, WeightType::kI4}) {
    for (const std::size_t m : {1u, 2u, 4u, 7u}) {
      for (const std::size_t group : {1u, 3u, 7u, 16u, 32u, 99u, 100u, 1000u}) {
        for (const std::size_t k : {1u, 31u, 32u, 33u, 100u}) {
          check(type, m, 33, k, group, Activation::kNone, true, false);
        }
      }
    }
  }
}

TEST_P(LinearTest, SeveralBlocksInEveryDirection) {
  for (const WeightType type : kTypes) {
    check(type, 253, 290, 601, 0, Activation::kNone, true, true);
    check(type, 2, 290, 601, 0, Activation::kNone, true, true);
  }
  check(WeightType::kI4, 123, 40, 601, 31, Activation::kNone, true, true);
  check(WeightType::kI4, 123, 40, 601, 257, Activation::kNone, false, false);
}

TEST_P(LinearTest, Activations) {
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kSilu,
                                      Activation::kGeluTanh, Activation::kGeluErf}) {
    for (const std::size_t m : {1u, 5u}) {
      for (const bool residual : {false, true})
        check(WeightType::kF16, m, 33, 40, 0, activation, true, residual);
    }
  }
}

TEST_P(LinearTest, NoInputChannelsLeaveBiasAndResidual) {
  for (const WeightType type : kTypes) {
    for (const std::size_t m : {1u, 6u}) check(type, m, 17, 0, 0, Activation::kNone, true, true);
  }
}

TEST_P(LinearTest, ResidualMayBeTheOutput) {
  for (const std::size_t m : {2u, 130u}) {
    const std::size_t n = 50, k = 600;
    const Layer layer(WeightType::kI8, n, k, 0, true, 3);
    const std::vector<float> x = random_floats(m * k, 4);
    const std::vector<float> before = random_floats(m * n, 5);
    std::vector<float> apart(m * n), in_place = before;
    LinearArgs args{.weights = &layer.weights,
                    .x = x.data(),
                    .x_stride = k,
                    .y = apart.data(),
                    .y_stride = n,
                    .residual = before.data(),
                    .residual_stride = n};
    run(args, {.row_end = m, .panel_end = panel_count(n)});
    args.y = in_place.data();
    args.residual = in_place.data();
    run(args, {.row_end = m, .panel_end = panel_count(n)});
    EXPECT_EQ(apart, in_place);
  }
}

TEST_P(LinearTest, SlicesWriteTheirPartOnly) {
  const std::size_t m = 20, n = 70, k = 40;
  const Layer layer(WeightType::kI8, n, k, 0, false, 3);
  const std::vector<float> x = random_floats(m * k, 4);
  std::vector<float> whole(m * n), parts(m * n, -7.0f);
  LinearArgs args{
      .weights = &layer.weights, .x = x.data(), .x_stride = k, .y = whole.data(), .y_stride = n};
  run(args, {.row_end = m, .panel_end = panel_count(n)});
  args.y = parts.data();
  run(args, {.row_begin = 5, .row_end = 13, .panel_begin = 1, .panel_end = 2});
  for (std::size_t i = 0; i < m * n; ++i) {
    const bool inside = i / n >= 5 && i / n < 13 && i % n >= 16 && i % n < 32;
    ASSERT_EQ(parts[i] == -7.0f, !inside) << i;
  }
  for (const Slice& rest :
       {Slice{0, 5, 0, 5}, Slice{13, 20, 0, 5}, Slice{5, 13, 0, 1}, Slice{5, 13, 2, 5}}) {
    run(args, rest);
  }
  for (std::size_t i = 0; i < m * n; ++i) ASSERT_FLOAT_EQ(parts[i], whole[i]) << i;
}

// Activations of language models have a few channels thousands of times larger than the rest. With
// f32 accumulation the small ones still count: the outlier's products cancel exactly here and what
// is left must be right.
TEST_P(LinearTest, Int8WithHugeOutlierActivations) {
  const std::size_t n = 33, k = 256;
  const Layer layer(WeightType::kI8, n, k, 0, false, 21);
  for (const std::size_t m : {1u, 8u}) {
    std::vector<float> x = random_floats(m * k, 22);
    for (std::size_t i = 0; i < m; ++i) x[i * k + 77] = 60000.0f;
    std::vector<float> y(m * n);
    run({.weights = &layer.weights, .x = x.data(), .x_stride = k, .y = y.data(), .y_stride = n},
        {.row_end = m, .panel_end = panel_count(n)});
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t c = 0; c < n; ++c) {
        double sum = 0.0;
        for (std::size_t j = 0; j < k; ++j) sum += layer.exact[c * k + j] * x[i * k + j];
        // The outlier's product rounds at 2^-24 of its size, once for each later addition to the
        // same accumulator.
        const double outlier = std::abs(layer.exact[c * k + 77] * 60000.0);
        ASSERT_NEAR(y[i * n + c], sum, 3e-6 * outlier + 1e-5) << i << " " << c;
      }
    }
  }
}

TEST_P(LinearTest, UnalignedWeightsAndActivations) {
  const std::size_t n = 17, k = 33;
  const Layer layer(WeightType::kF16, n, k, 0, false, 3);
  std::vector<std::byte> shifted(layer.bytes.size() + 2);
  std::copy(layer.bytes.bytes().begin(), layer.bytes.bytes().end(), shifted.begin() + 2);
  PackedWeights weights = layer.weights;
  const std::vector<float> x = random_floats(8 * k + 1, 4);
  std::vector<float> want(8 * n), found(8 * n);
  LinearArgs args{
      .weights = &weights, .x = x.data() + 1, .x_stride = k, .y = want.data(), .y_stride = n};
  run(args, {.row_end = 8, .panel_end = 2});
  weights.panels = shifted.data() + 2;
  args.y = found.data();
  run(args, {.row_end = 8, .panel_end = 2});
  EXPECT_EQ(want, found);
}

// ---- matmul and transpose ----

class MatmulTest : public KernelTest {};
QHX_ON_ALL_TARGETS(MatmulTest);

void check_matmul(const KernelTable& kernels, std::size_t m, std::size_t n, std::size_t k,
                  bool transposed) {
  SCOPED_TRACE(::testing::Message()
               << "m " << m << " n " << n << " k " << k << " transposed " << transposed);
  const std::size_t a_stride = k + 1, b_stride = (transposed ? k : n) + 2;
  const std::vector<float> a = random_floats(m * a_stride + 1, 1);
  const std::vector<float> b = random_floats((transposed ? n : k) * b_stride + 1, 2);
  GuardedMatrix c(m, n, n + 3);
  AlignedBuffer scratch(kernels.gemm_scratch_bytes);
  kernels.matmul({.a = a.data(),
                  .a_stride = a_stride,
                  .b = b.data(),
                  .b_stride = b_stride,
                  .b_transposed = transposed,
                  .c = c.data(),
                  .c_stride = c.stride(),
                  .n = n,
                  .k = k},
                 {.row_end = m, .panel_end = panel_count(n)}, scratch.data());
  EXPECT_TRUE(c.intact());
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (std::size_t l = 0; l < k; ++l) {
        sum += static_cast<double>(a[i * a_stride + l]) *
               b[transposed ? j * b_stride + l : l * b_stride + j];
      }
      ASSERT_NEAR(c.at(i, j), sum, 2e-7 * static_cast<double>(k) + 1e-7) << i << " " << j;
    }
  }
}

TEST_P(MatmulTest, EdgeSizes) {
  for (const bool transposed : {false, true}) {
    for (const std::size_t m : {0u, 1u, 2u, 5u, 6u, 7u, 13u}) {
      for (const std::size_t n : {1u, 15u, 16u, 17u, 33u}) {
        for (const std::size_t k : {0u, 1u, 2u, 31u, 33u})
          check_matmul(kernels(), m, n, k, transposed);
      }
    }
    check_matmul(kernels(), 130, 300, 530, transposed);
  }
}

TEST_P(MatmulTest, Transpose) {
  for (const std::size_t rows : {0u, 1u, 4u, 7u, 8u, 9u, 17u, 40u}) {
    for (const std::size_t columns : {1u, 3u, 8u, 15u, 16u, 33u}) {
      const std::vector<float> from = random_floats(rows * (columns + 1) + 1, 3);
      GuardedMatrix to(columns, rows, rows + 2);
      kernels().transpose(from.data(), columns + 1, to.data(), to.stride(), rows, columns);
      EXPECT_TRUE(to.intact());
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < columns; ++c)
          ASSERT_EQ(to.at(c, r), from[r * (columns + 1) + c]);
      }
    }
  }
}

}  // namespace
}  // namespace qhx::cpu
