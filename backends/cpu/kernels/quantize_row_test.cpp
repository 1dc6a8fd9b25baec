#include <algorithm>
#include <limits>

#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

class QuantizeRowTest : public KernelTest {
 protected:
  struct Row {
    std::vector<std::int8_t> values;
    float scale = 0;
  };
  Row quantize(const std::vector<float>& x) {
    // One byte more, which must stay as it is; the row begins where no vector does.
    std::vector<float> moved = {0.0f};
    moved.insert(moved.end(), x.begin(), x.end());
    Row row{std::vector<std::int8_t>(x.size() + 1, 99), 0};
    kernels().quantize_row(moved.data() + 1, x.size(), row.values.data(), &row.scale);
    EXPECT_EQ(row.values.back(), 99);
    row.values.pop_back();
    return row;
  }
};
QHX_ON_ALL_TARGETS(QuantizeRowTest);

TEST_P(QuantizeRowTest, IsTheNearestIntegerOfTheLargestValuesScale) {
  for (const std::size_t n : {1u, 2u, 7u, 8u, 15u, 16u, 17u, 64u, 128u, 131u}) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
      std::vector<float> x = random_floats(n, seed, -3.0f, 3.0f);
      if (seed % 3 == 0) x[seed % n] = 1000.0f;
      const Row row = quantize(x);
      float largest = 0;
      for (const float v : x) largest = std::max(largest, std::fabs(v));
      ASSERT_EQ(row.scale, largest * (1.0f / 127.0f));
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(row.values[i], static_cast<int>(std::nearbyint(x[i] / row.scale)))
            << n << " " << i;
      }
    }
  }
}

TEST_P(QuantizeRowTest, ReachesBothEnds) {
  const Row row = quantize({-5.0f, 0.0f, 5.0f, 2.5f});
  EXPECT_THAT(row.values, ::testing::ElementsAre(-127, 0, 127, 64));
}

TEST_P(QuantizeRowTest, ZerosHaveAUsableScale) {
  for (const float tiny : {0.0f, 1e-40f, -1e-38f}) {
    const Row row = quantize(std::vector<float>(19, tiny));
    EXPECT_GT(row.scale, 0.0f);
    for (const int value : row.values) EXPECT_EQ(value, 0);
  }
}

// What is broken stays visibly broken, however it reads.
TEST_P(QuantizeRowTest, ValuesThatAreNotFiniteSpoilTheScale) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t n : {1u, 16u, 19u}) {
      for (std::size_t at = 0; at < n; ++at) {
        std::vector<float> x = random_floats(n, 1);
        x[at] = bad;
        const Row row = quantize(x);
        EXPECT_TRUE(std::isnan(row.scale)) << bad << " at " << at << " of " << n;
        for (const int value : row.values) EXPECT_EQ(value, 0);
      }
    }
  }
}

}  // namespace
}  // namespace qhx::cpu
