#include "kernels/quantized_rows.h"
#include "kernels/test_layer.h"

namespace qhx::cpu {
namespace {

// Rows in integers, and what they stand for.
class Quantized {
 public:
  Quantized(const KernelTable& kernels, const std::vector<float>& x, std::size_t stride,
            std::size_t m, std::size_t k, int levels)
      : memory_(quantized_bytes(m, k, levels)),
        rows(place_quantized(memory_.data(), m, k, levels)) {
    kernels.quantize(x.data(), stride, 0, m, rows);
  }

  // With `used` below the rows' levels: of the high piece alone.
  double value(const KernelTable& kernels, std::size_t row, std::size_t k, int used) const {
    const std::size_t group = row * rows.groups + k / kIntegerGroup;
    const auto levels = static_cast<std::size_t>(rows.levels);
    const std::int8_t* const at = rows.values + group * levels * kIntegerGroup + k % kIntegerGroup;
    if (kernels.whole_int16 && levels == 2) {
      std::int16_t q;
      std::memcpy(&q, rows.values + 2 * (group * kIntegerGroup + k % kIntegerGroup), sizeof(q));
      return static_cast<double>(q) * rows.scales[group];
    }
    const double high = at[0];
    if (levels == 1) return high * rows.scales[group];
    const double low = used == 2 ? at[kIntegerGroup] : 0;
    return (high * (1 << kernels.piece_bits) + low) * rows.scales[group];
  }
  double value(const KernelTable& kernels, std::size_t row, std::size_t k) const {
    return value(kernels, row, k, rows.levels);
  }

 private:
  AlignedBuffer memory_;

 public:
  IntegerRows rows;
};

class IntegerTest : public KernelTest {
 protected:
  // Largest integer that a value of so many levels becomes.
  double top(int levels) const {
    const int bits = kernels().piece_bits;
    const int piece = (1 << (bits - 1)) - 1;
    if (levels == 2 && kernels().whole_int16) return 32767;
    return levels == 1 ? piece : piece * (1 << bits);
  }

  void check_values(const std::vector<float>& x, std::size_t stride, std::size_t m, std::size_t k,
                    const Quantized& quantized) {
    for (std::size_t row = 0; row < m; ++row) {
      for (std::size_t first = 0; first < k; first += kIntegerGroup) {
        double largest = 0;
        const std::size_t end = std::min(k, first + kIntegerGroup);
        for (std::size_t i = first; i < end; ++i)
          largest = std::max(largest, static_cast<double>(std::abs(x[row * stride + i])));
        for (std::size_t i = first; i < end; ++i) {
          ASSERT_NEAR(quantized.value(kernels(), row, i), x[row * stride + i],
                      0.51 * largest / top(quantized.rows.levels))
              << row << " " << i;
        }
      }
    }
  }

  // The kernel against double precision on what the integers stand for: what is left is the
  // rounding of f32 sums over groups.
  void check(WeightType type, std::size_t m, std::size_t n, std::size_t k, std::size_t group,
             int levels, Activation activation = Activation::kNone, bool residual = false) {
    check(type, m, n, k, group, levels, levels, activation, residual);
    // Other layers of the same input may take two pieces where this one takes the high one.
    if (levels == 1 && !kernels().whole_int16)
      check(type, m, n, k, group, 2, 1, activation, residual);
  }

  void check(WeightType type, std::size_t m, std::size_t n, std::size_t k, std::size_t group,
             int levels, int used, Activation activation, bool residual) {
    SCOPED_TRACE(::testing::Message()
                 << "type " << static_cast<int>(type) << " m " << m << " n " << n << " k " << k
                 << " group " << group << " levels " << levels << " used " << used);
    const Layer layer(type, n, k, group, true, 11);
    const std::size_t stride = k + 3;
    const std::vector<float> x = random_floats(m * stride + 1, 5);
    const std::vector<float> r = random_floats(m * n + 1, 6);
    const Quantized quantized(kernels(), x, stride, m, k, levels);
    check_values(x, stride, m, k, quantized);
    GuardedMatrix y(m, n, n + 5);
    AlignedBuffer scratch(kernels().integer_scratch_bytes(k));
    kernels().linear_integer({.weights = &layer.weights,
                              .y = y.data(),
                              .y_stride = y.stride(),
                              .activation = activation,
                              .residual = residual ? r.data() : nullptr,
                              .residual_stride = n},
                             quantized.rows, used, {.row_end = m, .panel_end = panel_count(n)},
                             scratch.data());
    EXPECT_TRUE(y.intact());
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t c = 0; c < n; ++c) {
        double sum = layer.bias[c], size = std::abs(sum);
        for (std::size_t j = 0; j < k; ++j) {
          const double product = layer.exact[c * k + j] * quantized.value(kernels(), i, j, used);
          sum += product;
          size += std::abs(product);
        }
        const double want = activated(activation, sum) + (residual ? r[i * n + c] : 0.0);
        ASSERT_NEAR(y.at(i, c), want, 4e-7 * size + 2e-6 * std::abs(want) + 1e-6) << i << " " << c;
      }
    }
  }
};
QHX_ON_ALL_TARGETS(IntegerTest);

constexpr WeightType kIntegerTypes[] = {WeightType::kI8, WeightType::kI4};

TEST_P(IntegerTest, EdgeSizes) {
  for (const WeightType type : kIntegerTypes) {
    for (const int levels : {1, 2}) {
      for (const std::size_t m : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 13u, 25u, 26u, 29u}) {
        for (const std::size_t n : {1u, 16u, 17u, 33u, 49u}) {
          for (const std::size_t k : {0u, 1u, 7u, 31u, 32u, 33u, 100u})
            check(type, m, n, k, 0, levels);
        }
      }
    }
  }
}

TEST_P(IntegerTest, WeightsInGroups) {
  for (const WeightType type : kIntegerTypes) {
    for (const int levels : {1, 2}) {
      for (const std::size_t group : {32u, 64u, 96u, 128u, 1024u}) {
        check(type, 7, 49, 300, group, levels);
        check(type, 31, 113, 300, group, levels);
      }
    }
  }
}

TEST_P(IntegerTest, EpiloguesAndSizesOfModels) {
  for (const int levels : {1, 2}) {
    check(WeightType::kI8, 61, 290, 1024, 0, levels, Activation::kGeluTanh, false);
    check(WeightType::kI8, 1, 290, 6144, 0, levels, Activation::kNone, true);
    check(WeightType::kI4, 35, 290, 2048, 32, levels, Activation::kSilu, true);
  }
}

// The largest magnitudes everywhere, of the same sign and of both: no sum may overflow.
TEST_P(IntegerTest, ExtremeValuesDoNotOverflow) {
  const std::size_t n = 17, k = 64;
  for (const WeightType type : kIntegerTypes) {
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<std::int8_t> source(n * k, type == WeightType::kI8 ? -128 : -8);
      for (std::size_t i = 0; i < n * k; i += 3) source[i] = type == WeightType::kI8 ? 127 : 7;
      AlignedBuffer panels(packed_bytes(type, n, k));
      pack_weights({type, source.data(), n, k, 1, k}, 0, panels.bytes());
      const std::vector<float> scales(packed_scales(n, k, 0), 1.0f);
      const PackedWeights weights{
          .type = type, .n = n, .k = k, .panels = panels.data(), .scales = scales.data()};
      std::vector<float> x(k, sign);
      for (const int levels : {1, 2}) {
        const Quantized quantized(kernels(), x, k, 1, k, levels);
        std::vector<float> y(n);
        kernels().linear_integer({.weights = &weights, .y = y.data(), .y_stride = n},
                                 quantized.rows, levels,
                                 {.row_end = 1, .panel_end = panel_count(n)}, nullptr);
        for (std::size_t c = 0; c < n; ++c) {
          double sum = 0;
          for (std::size_t j = 0; j < k; ++j) sum += source[c * k + j] * sign;
          EXPECT_NEAR(y[c], sum, 1e-5 * k * 128) << c;
        }
      }
    }
  }
}

TEST_P(IntegerTest, ZerosTinyAndNotFinite) {
  const std::size_t k = 96;
  std::vector<float> x(k);
  x[0] = 1e-42f;
  x[32] = -0.0f;
  x[70] = std::numeric_limits<float>::infinity();
  for (const int levels : {1, 2}) {
    const Quantized quantized(kernels(), x, k, 1, k, levels);
    for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(quantized.value(kernels(), 0, i), 0, 1e-37);
    EXPECT_TRUE(std::isnan(quantized.rows.scales[2]));
    EXPECT_EQ(quantized.rows.sums[2], 0);
  }
  x[70] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(Quantized(kernels(), x, k, 1, k, 2).rows.scales[2]));
}

// A few channels of language models are a hundred times larger than the rest. Only the group that
// such a channel lies in may lose bits by it.
TEST_P(IntegerTest, AnOutlierSpoilsItsGroupAlone) {
  const std::size_t k = 2048;
  std::vector<float> x = random_floats(k, 22);
  x[77] *= 100 / std::abs(x[77]);
  const Quantized quantized(kernels(), x, k, 1, k, 1);
  check_values(x, k, 1, k, quantized);
  double error = 0;
  for (std::size_t i = 0; i < k; ++i) {
    if (i / kIntegerGroup == 77 / kIntegerGroup) continue;
    error = std::max(error, std::abs(quantized.value(kernels(), 0, i) - x[i]));
  }
  EXPECT_LE(error, 0.51 / top(1));
}

}  // namespace
}  // namespace qhx::cpu
