// How weights become integers. The one place that knows the rule: forge writes bundles with it and
// the reference dequantizes with it, so both see the same weights.
//
// Symmetric, no zero point: scale = max|w| / limit over a group, q = w / scale rounded half to
// even, limit 127 for 8 bits and 7 for 4 bits. The division is done in float. HTP keeps scales as
// 16-bit floats, so they are rounded up to one here, that all libraries compute with the same;
// but not below 2^-14, where those have few bits. Scales of 4-bit groups are stored as 16-bit
// floats, so theirs are always such, the smallest 2^-24. A group of zeros gets scale 0 and zeros. A
// weight matrix is [out, in], row-major; a group is one output row, or `group_size` consecutive
// inputs of one row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qhx::quant {

inline constexpr int kInt8Limit = 127;
inline constexpr int kInt4Limit = 7;
// The largest magnitude that a 4-bit group can hold.
inline constexpr float kMostGrouped4 = 7 * 65504.0f;

// w [out, in], q [out, in], scales [out]. Weights must be finite (QHX_DCHECK). Thread-safe.
void quantize_per_channel(const float* w, std::size_t out, std::size_t in, std::int8_t* q,
                          float* scales);

// 4-bit values -7..7, one in each byte of q [out, in]; scales [out].
void quantize_per_channel_4bit(const float* w, std::size_t out, std::size_t in, std::int8_t* q,
                               float* scales);

// 4-bit values -7..7, one in each byte of q [out, in]; scales [out, in / group_size]. group_size
// divides in (QHX_CHECK). Magnitudes beyond kMostGrouped4 become it.
void quantize_grouped_4bit(const float* w, std::size_t out, std::size_t in, std::size_t group_size,
                           std::int8_t* q, float* scales);

// w[o, i] = q[o, i] * scales[o, i / group_size] in float; group_size = in gives the per-channel
// case.
void dequantize(const std::int8_t* q, const float* scales, std::size_t out, std::size_t in,
                std::size_t group_size, float* w);

// In place: what a weight is after a round trip through the format.
void round_to_f16(std::span<float> w);
void round_to_int8_per_channel(float* w, std::size_t out, std::size_t in);
void round_to_grouped_4bit(float* w, std::size_t out, std::size_t in, std::size_t group_size);

// The smallest 16-bit float that is at least `scale` (positive, QHX_DCHECK), or the largest one.
float group_scale(float scale);

}  // namespace qhx::quant
