#include "forge/ranges/range.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace qhx::forge {
namespace {

constexpr std::size_t kBias = 127;  // of a float's exponent
constexpr std::size_t kNotFinite = 255;

}  // namespace

void Range::add(std::span<const float> values) {
  count_ += values.size();
  std::uint32_t largest = 0;
  for (const float value : values) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(value) & 0x7FFFFFFFu;
    const std::uint32_t exponent = magnitude >> 23;
    ++by_exponent_[exponent];
    if (exponent == kNotFinite) continue;
    zeros_ += magnitude == 0;
    // Magnitudes of floats order as their bits do.
    largest = std::max(largest, magnitude);
    squares_ += static_cast<double>(value) * static_cast<double>(value);
  }
  largest_ = std::max(largest_, std::bit_cast<float>(largest));
}

double Range::rms() const {
  const std::uint64_t finite = count_ - not_finite();
  return finite == 0 ? 0 : std::sqrt(squares_ / static_cast<double>(finite));
}

std::uint64_t Range::nonzero() const { return count_ - not_finite() - zeros_; }

float Range::median() const {
  std::uint64_t seen = 0;
  for (std::size_t e = 0; e < kNotFinite; ++e) {
    seen += by_exponent_[e] - (e == 0 ? zeros_ : 0);
    if (seen > 0 && 2 * seen >= nonzero())
      return std::ldexp(1.0f, static_cast<int>(e) - static_cast<int>(kBias));
  }
  return 0;
}

double Range::part_below(int exponent) const {
  if (nonzero() == 0) return 0;
  const int end = std::clamp(exponent + static_cast<int>(kBias), 0, static_cast<int>(kNotFinite));
  const std::uint64_t below =
      std::accumulate(by_exponent_.begin(), by_exponent_.begin() + end, std::uint64_t{0});
  return static_cast<double>(below - (end > 0 ? zeros_ : 0)) / static_cast<double>(nonzero());
}

std::string in_digits(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

}  // namespace qhx::forge
