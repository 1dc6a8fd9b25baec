#include "kernels/pack.h"

#include <algorithm>

#include "base/check.h"
#include "base/f16.h"

namespace qhx::cpu {
namespace {

std::size_t rows_of_bytes(WeightType type, std::size_t k) {
  return type == WeightType::kI4 ? (k + 1) / 2 : k;
}

std::size_t element_bytes(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return 4;
    case WeightType::kF16:
      return 2;
    case WeightType::kI8:
    case WeightType::kI4:
      return 1;
  }
  return 1;
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

void pack_nibbles(const WeightSource& s, std::size_t first_channel, std::byte* panels) {
  const auto* const from = static_cast<const std::uint8_t*>(s.data);
  auto* const to = reinterpret_cast<std::uint8_t*>(panels);
  const std::size_t pairs = rows_of_bytes(WeightType::kI4, s.k);
  for_each_run(s.n, first_channel,
               [&](std::size_t n, std::size_t count, std::size_t lane, std::size_t panel) {
                 for (std::size_t pair = 0; pair < pairs; ++pair) {
                   std::uint8_t* const row = to + (panel * pairs + pair) * kPanelWidth + lane;
                   const std::uint8_t* const even = from + 2 * pair * s.k_stride + n * s.n_stride;
                   const bool has_odd = 2 * pair + 1 < s.k;
                   for (std::size_t j = 0; j < count; ++j) {
                     const unsigned low = even[j * s.n_stride] & 15u;
                     const unsigned high = has_odd ? even[s.k_stride + j * s.n_stride] & 15u : 0u;
                     row[j] = static_cast<std::uint8_t>(low | high << 4);
                   }
                 }
               });
}

float weight_at(const PackedWeights& w, std::size_t panel, std::size_t lane, std::size_t k) {
  const std::size_t at =
      (panel * rows_of_bytes(w.type, w.k) + (w.type == WeightType::kI4 ? k / 2 : k)) * kPanelWidth +
      lane;
  switch (w.type) {
    case WeightType::kF32:
      return static_cast<const float*>(w.panels)[at];
    case WeightType::kF16:
      return f16_to_f32(static_cast<const std::uint16_t*>(w.panels)[at]);
    case WeightType::kI8:
      return static_cast<const std::int8_t*>(w.panels)[at];
    case WeightType::kI4: {
      const int nibble = static_cast<const std::uint8_t*>(w.panels)[at] >> (k % 2 * 4) & 15;
      return static_cast<float>(nibble < 8 ? nibble : nibble - 16);
    }
  }
  return 0.0f;
}

}  // namespace

std::size_t packed_bytes(WeightType type, std::size_t n, std::size_t k) {
  return padded_channels(n) * rows_of_bytes(type, k) * element_bytes(type);
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
      return pack_whole<std::uint8_t>(source, first_channel, panels.data());
    case WeightType::kI4:
      return pack_nibbles(source, first_channel, panels.data());
  }
}

void pack_scales(const float* source, std::size_t n, std::size_t groups, std::size_t channel_stride,
                 std::size_t group_stride, std::size_t first_channel, std::span<float> scales) {
  QHX_CHECK(padded_channels(first_channel + n) * groups <= scales.size());
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t channel = first_channel + i;
    for (std::size_t g = 0; g < groups; ++g) {
      scales[(channel / kPanelWidth * groups + g) * kPanelWidth + channel % kPanelWidth] =
          source[g * group_stride + i * channel_stride];
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
    const std::size_t g = weights.group == 0 ? 0 : k / weights.group;
    out[k] *= weights.scales[(panel * groups + g) * kPanelWidth + lane];
  }
}

}  // namespace qhx::cpu
