// How large the values of an activation are: counted while they pass, one tensor after another.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace qhx::forge {

inline constexpr float kLargestHalf = 65504.0f;  // of 16-bit floats
inline constexpr int kSmallestNormalExponent = -14;
inline constexpr float kSmallestNormalHalf = 0x1p-14f;  // below, they lose precision

class Range {
 public:
  void add(std::span<const float> values);

  std::uint64_t count() const { return count_; }
  float largest() const { return largest_; }  // magnitude, of the finite values
  double rms() const;                         // of the finite values
  // Magnitude that half of the values other than zero do not reach, rounded down to a power of two;
  // 0 if there are none.
  float median() const;
  // The part of the values other than zero, from 0 to 1, whose magnitude is below 2^exponent.
  double part_below(int exponent) const;
  // Infinities and what is no number.
  std::uint64_t not_finite() const { return by_exponent_.back(); }

 private:
  std::uint64_t nonzero() const;

  std::uint64_t count_ = 0;
  float largest_ = 0;
  double squares_ = 0;
  // By the 8 bits of a float's exponent; zeros are apart, smaller numbers than 2^-126 are not.
  std::array<std::uint64_t, 256> by_exponent_{};
  std::uint64_t zeros_ = 0;
};

// For people: with as many significant digits.
std::string in_digits(double value, int digits);

// By the names that reference::Stage gives: "block_out_05".
using RangeTable = std::map<std::string, Range, std::less<>>;

}  // namespace qhx::forge
