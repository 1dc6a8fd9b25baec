// Makes the packed weights of kernel_table.h from QNN's layouts. Runs at graph finalize; not per
// target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_table.h"

namespace qhx::cpu {

constexpr std::size_t panel_count(std::size_t n) { return (n + kPanelWidth - 1) / kPanelWidth; }
constexpr std::size_t padded_channels(std::size_t n) { return panel_count(n) * kPanelWidth; }
// Scales that one channel has: 1 if group is 0.
constexpr std::size_t group_count(std::size_t k, std::size_t group) {
  return group == 0 ? 1 : (k + group - 1) / group;
}

// Bytes of the panels of N x K weights, the number of their scales, and the bytes of a scale. The
// caller keeps N * K below 2^60.
std::size_t packed_bytes(WeightType type, std::size_t n, std::size_t k);
std::size_t packed_scales(std::size_t n, std::size_t k, std::size_t group);
constexpr std::size_t scale_size(std::size_t group) {
  return group == 0 ? sizeof(float) : sizeof(std::uint16_t);
}

// Weights as a graph gives them. Element (k, n) is at k * k_stride + n * n_stride:
// [K, N] (MatMul, 1x1 Conv2d HWIO) has strides (N, 1), [N, K] (FullyConnected, transposed MatMul)
// has (1, K). Elements: kF32 float, kF16 half as uint16, kI8 int8, kI4 int8 holding -8 … 7 (only
// the low four bits are looked at).
struct WeightSource {
  WeightType type = WeightType::kF32;
  const void* data = nullptr;
  std::size_t n = 0, k = 0;
  std::size_t k_stride = 0, n_stride = 0;
};

// Writes the source's channels to channels [first_channel, first_channel + n) of `panels`, which
// has the size packed_bytes(type, N, k) for some N >= first_channel + n, and leaves the others
// alone: several sources become one layer this way (Q, K and V). `panels` starts zeroed, which is
// what padding channels stay. Calls on channel ranges that share no panel may run at the same time.
void pack_weights(const WeightSource& source, std::size_t first_channel,
                  std::span<std::byte> panels);

// Scales of n channels to `scales` [P][16], from channel first_channel on. Also packs a bias.
void pack_scales(const float* source, std::size_t n, std::size_t first_channel,
                 std::span<float> scales);
// Scales of groups, [n][groups], to the same channels of `scales` [P][groups][16], rounded to half
// precision.
void pack_group_scales(const float* source, std::size_t n, std::size_t groups,
                       std::size_t first_channel, std::span<std::uint16_t> scales);

// The inverse of pack_weights with scales applied: channel n as f32 [k]. For checks and tests;
// slow.
void unpack_channel(const PackedWeights& weights, std::size_t channel, std::span<float> out);

}  // namespace qhx::cpu
