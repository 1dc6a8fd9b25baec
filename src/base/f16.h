// IEEE half precision and bfloat16 as storage formats: 16-bit patterns in uint16_t, arithmetic in
// float. Scalar and portable; kernels have their own vector conversions and are tested against
// these.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace qhx {

// Largest finite half. A value that rounds above it becomes infinity.
inline constexpr float kMaxF16 = 65504.0f;

constexpr float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu;
  const std::uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal: mantissa * 2^-24, exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
}

// Rounds to nearest, ties to even. NaN stays NaN (quiet).
constexpr std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return static_cast<std::uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  }
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and above round to infinity
  if (magnitude >= 0x38800000u) {                       // normal half
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
  }
  // Subnormal: adding 0.5 aligns the mantissa to steps of 2^-24 with the FPU's own rounding.
  const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
  return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3F000000u));
}

constexpr float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Element by element; both spans have the same size.
void f16_to_f32(std::span<const std::uint16_t> from, std::span<float> to);
void f32_to_f16(std::span<const float> from, std::span<std::uint16_t> to);

}  // namespace qhx
