// A linear layer to test kernels with.
#pragma once

#include <algorithm>

#include "base/f16.h"
#include "kernels/test_util.h"

namespace qhx::cpu {

// A layer with random weights, packed, and the same in double precision.
struct Layer {
  Layer(WeightType type, std::size_t n, std::size_t k, std::size_t group, bool with_bias,
        unsigned seed)
      : exact(n * k),
        bytes(packed_bytes(type, n, k)),
        scales(group == 0 ? packed_scales(n, k, group) : 0),
        group_scales(group == 0 ? 0 : packed_scales(n, k, group)),
        bias(padded_channels(n)) {
    const std::vector<float> values = random_floats(n * k, seed);
    const std::size_t groups = group_count(k, group);
    std::vector<float> scale = random_floats(n * groups, seed + 1, 0.001f, 0.02f);
    for (float& s : scale) s = group == 0 ? s : f16_to_f32(f32_to_f16(s));
    const std::vector<float> biases = random_floats(n, seed + 2);
    std::vector<std::uint16_t> halves(n * k);
    std::vector<std::int8_t> ints(n * k);
    const bool scaled = type == WeightType::kI8 || type == WeightType::kI4;
    for (std::size_t i = 0; i < n * k; ++i) {  // source [N, K]
      halves[i] = f32_to_f16(values[i]);
      ints[i] = static_cast<std::int8_t>(
          std::floor(values[i] * (type == WeightType::kI4 ? 8.0f : 128.0f)));
      const float s = scale[i / k * groups + (group == 0 ? 0 : i % k / group)];
      exact[i] = scaled                     ? static_cast<double>(ints[i]) * s
                 : type == WeightType::kF16 ? static_cast<double>(f16_to_f32(halves[i]))
                                            : static_cast<double>(values[i]);
    }
    const void* data = type == WeightType::kF32   ? static_cast<const void*>(values.data())
                       : type == WeightType::kF16 ? static_cast<const void*>(halves.data())
                                                  : static_cast<const void*>(ints.data());
    pack_weights({type, data, n, k, 1, k}, 0, bytes.bytes());
    if (scaled && group == 0) pack_scales(scale.data(), n, 0, scales);
    if (scaled && group != 0) pack_group_scales(scale.data(), n, groups, 0, group_scales);
    pack_scales(biases.data(), n, 0, bias);
    weights = {.type = type,
               .n = n,
               .k = k,
               .group = group,
               .panels = bytes.data(),
               .scales = scaled && group == 0 ? scales.data() : nullptr,
               .group_scales = scaled && group != 0 ? group_scales.data() : nullptr,
               .bias = with_bias ? bias.data() : nullptr};
  }

  std::vector<double> exact;  // [N, K]
  AlignedBuffer bytes;
  std::vector<float> scales;
  std::vector<std::uint16_t> group_scales;
  std::vector<float> bias;
  PackedWeights weights;
};

inline double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
  }
  return x;
}

}  // namespace qhx::cpu
