// What the kernel tests share: one instance of each test for every target of this machine, seeded
// data, and output matrices that notice writes outside their shape.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"

namespace qhx::cpu {

class KernelTest : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& kernels() const { return *GetParam(); }
};

inline std::string target_name(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

// Registers a fixture derived from KernelTest for all targets.
#define QHX_ON_ALL_TARGETS(fixture) \
  INSTANTIATE_TEST_SUITE_P(Targets, fixture, ::testing::ValuesIn(supported_kernels()), target_name)

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float low = -1.0f,
                                        float high = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> value(low, high);
  std::vector<float> out(n);
  for (float& x : out) x = value(random);
  return out;
}

// A float matrix whose rows are `stride` apart, with a pattern in all that does not belong to it:
// between rows, before the first and after the last.
class GuardedMatrix {
 public:
  GuardedMatrix(std::size_t rows, std::size_t width, std::size_t stride)
      : rows_(rows), width_(width), stride_(stride), all_(rows * stride + 2 * kMargin, pattern()) {}

  float* data() { return all_.data() + kMargin; }
  std::size_t stride() const { return stride_; }
  float at(std::size_t r, std::size_t c) const { return all_[kMargin + r * stride_ + c]; }

  // True if everything outside [rows, width] still holds the pattern.
  bool intact() const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const bool inside =
          i >= kMargin && (i - kMargin) / stride_ < rows_ && (i - kMargin) % stride_ < width_;
      if (!inside && std::bit_cast<std::uint32_t>(all_[i]) != kPattern) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kMargin = 64;
  static constexpr std::uint32_t kPattern = 0x7FC0DEADu;  // a NaN: using it shows as well
  static float pattern() { return std::bit_cast<float>(kPattern); }
  std::size_t rows_, width_, stride_;
  std::vector<float> all_;
};

}  // namespace qhx::cpu
