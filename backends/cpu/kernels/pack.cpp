#include "kernels/pack.h"

#include <algorithm>

#include "base/check.h"
#include "base/f16.h"

namespace qhx::cpu {
namespace {

// Values of k that lie together in a panel, and the bytes of a channel's.
struct Step {
  std::size_t k, bytes;
};
Step step_of(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return {1, 4};
    case WeightType::kF16:
      return {1, 2};
    case WeightType::kI8:
      return {4, 4};
    case WeightType::kI4:
      return {8, 4};
  }
  return {1, 4};
}

// Bytes of one panel.
std::size_t panel_bytes(WeightType type, std::size_t k) {
  const Step step = step_of(type);
  return (k + step.k - 1) / step.k * step.bytes * kPanelWidth;
}

// The byte that holds int8 or 4-bit value k of a channel.
std::size_t byte_of(WeightType type, std::size_t lane, std::size_t k) {
  const std::size_t step = step_of(type).k;
  return (k / step * kPanelWidth + lane) * 4 + k % 4;
}

// Calls copy(n, lanes, channel in panel, panel) for each run of the source's channels that lies in
// one panel.
template <class Copy>
void for_each_run(std::size_t n, std::size_t first_channel, Copy copy) {
  for (std::size_t i = 0; i < n;) {
    const std::size_t channel = first_channel + i;
    const std::size_t lane = channel % kPanelWidth;
    const std::size_t count = std::min(n - i, kPanelWidth - lane);
    copy(i, count, lane, channel / kPanelWidth);
    i += count;
  }
}

template <class T>
void pack_whole(const WeightSource& s, std::size_t first_channel, std::byte* panels) {
  const T* const from = static_cast<const T*>(s.data);
  T* const to = reinterpret_cast<T*>(panels);
  for_each_run(s.n, first_channel,
               [&](std::size_t n, std::size_t count, std::size_t lane, std::size_t panel) {
                 for (std::size_t k = 0; k < s.k; ++k) {
                   T* const row = to + (panel * s.k + k) * kPanelWidth + lane;
                   const T* const source = from + k * s.k_stride + n * s.n_stride;
                   for (std::size_t j = 0; j < count; ++j) row[j] = source[j * s.n_stride];
                 }
               });
}

void pack_bytes(const WeightSource& s, std::size_t first_channel, std::byte* panels) {
  const auto* const from = static_cast<const std::uint8_t*>(s.data);
  auto* const to = reinterpret_cast<std::uint8_t*>(panels);
  for_each_run(s.n, first_channel,
               [&](std::size_t n, std::size_t count, std::size_t lane, std::size_t panel) {
                 std::uint8_t* const base = to + panel * panel_bytes(s.type, s.k);
                 for (std::size_t k = 0; k < s.k; ++k) {
                   const std::uint8_t* const source = from + k * s.k_stride + n * s.n_stride;
                   for (std::size_t j = 0; j < count; ++j) {
                     std::uint8_t& byte = base[byte_of(s.type, lane + j, k)];
                     const std::uint8_t value = source[j * s.n_stride];
                     if (s.type == WeightType::kI8) {
                       byte = value;
                     } else {
                       const unsigned shift = k % 8 < 4 ? 0 : 4;
                       byte = static_cast<std::uint8_t>((byte & ~(15u << shift)) | (value & 15u)
                                                                                       << shift);
                     }
                   }
                 }
               });
}

float weight_at(const PackedWeights& w, std::size_t panel, std::size_t lane, std::size_t k) {
  const std::byte* const base =
      static_cast<const std::byte*>(w.panels) + panel * panel_bytes(w.type, w.k);
  const std::size_t at = k * kPanelWidth + lane;
  switch (w.type) {
    case WeightType::kF32:
      return reinterpret_cast<const float*>(base)[at];
    case WeightType::kF16:
      return f16_to_f32(reinterpret_cast<const std::uint16_t*>(base)[at]);
    case WeightType::kI8:
      return static_cast<std::int8_t>(base[byte_of(w.type, lane, k)]);
    case WeightType::kI4: {
      const auto byte = std::to_integer<int>(base[byte_of(w.type, lane, k)]);
      const int nibble = byte >> (k % 8 < 4 ? 0 : 4) & 15;
      return static_cast<float>(nibble < 8 ? nibble : nibble - 16);
    }
  }
  return 0.0f;
}

}  // namespace

std::size_t packed_bytes(WeightType type, std::size_t n, std::size_t k) {
  return panel_count(n) * panel_bytes(type, k);
}

std::size_t packed_scales(std::size_t n, std::size_t k, std::size_t group) {
  return padded_channels(n) * group_count(k, group);
}

void pack_weights(const WeightSource& source, std::size_t first_channel,
                  std::span<std::byte> panels) {
  QHX_CHECK(packed_bytes(source.type, first_channel + source.n, source.k) <= panels.size());
  switch (source.type) {
    case WeightType::kF32:
      return pack_whole<std::uint32_t>(source, first_channel, panels.data());
    case WeightType::kF16:
      return pack_whole<std::uint16_t>(source, first_channel, panels.data());
    case WeightType::kI8:
    case WeightType::kI4:
      return pack_bytes(source, first_channel, panels.data());
  }
}

void pack_scales(const float* source, std::size_t n, std::size_t first_channel,
                 std::span<float> scales) {
  QHX_CHECK(padded_channels(first_channel + n) <= scales.size());
  std::copy_n(source, n, scales.begin() + static_cast<std::ptrdiff_t>(first_channel));
}

void pack_group_scales(const float* source, std::size_t n, std::size_t groups,
                       std::size_t first_channel, std::span<std::uint16_t> scales) {
  QHX_CHECK(padded_channels(first_channel + n) * groups <= scales.size());
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t channel = first_channel + i;
    for (std::size_t g = 0; g < groups; ++g) {
      scales[(channel / kPanelWidth * groups + g) * kPanelWidth + channel % kPanelWidth] =
          f32_to_f16(source[i * groups + g]);
    }
  }
}

void unpack_channel(const PackedWeights& weights, std::size_t channel, std::span<float> out) {
  QHX_CHECK(channel < weights.n && out.size() == weights.k);
  const std::size_t panel = channel / kPanelWidth, lane = channel % kPanelWidth;
  const bool scaled = weights.type == WeightType::kI8 || weights.type == WeightType::kI4;
  const std::size_t groups = group_count(weights.k, weights.group);
  for (std::size_t k = 0; k < weights.k; ++k) {
    out[k] = weight_at(weights, panel, lane, k);
    if (!scaled) continue;
    if (weights.group == 0) {
      out[k] *= weights.scales[channel];
    } else {
      const std::size_t g = k / weights.group;
      out[k] *= f16_to_f32(weights.group_scales[(panel * groups + g) * kPanelWidth + lane]);
    }
  }
}

}  // namespace qhx::cpu
