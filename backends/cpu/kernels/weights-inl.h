// Packed weights as vectors of floats.
//
// Scales are not applied here.
#pragma once

namespace qhx::cpu::QHX_TARGET {

// One step reads kStep values of k for all 16 channels of a panel, kStepBytes in all.
template <WeightType T>
struct Panel {
  static constexpr std::size_t kStep = T == WeightType::kI8 ? 4 : T == WeightType::kI4 ? 8 : 1;
  static constexpr std::size_t kStepBytes = kPanelWidth * (T == WeightType::kF16 ? 2 : 4);
  static constexpr bool kScaled = T == WeightType::kI8 || T == WeightType::kI4;

  static constexpr std::size_t bytes(std::size_t k) { return (k + kStep - 1) / kStep * kStepBytes; }

  // The step that holds k.
  static const std::uint8_t* at(const std::uint8_t* panel, std::size_t k) {
    return panel + k / kStep * kStepBytes;
  }

  __attribute__((always_inline)) static void read(const std::uint8_t* p,
                                                  V (&out)[kStep][kPanelVectors]) {
    if constexpr (T == WeightType::kI8) {
      load_i8_quads(p, out);
    } else if constexpr (T == WeightType::kI4) {
      load_i4_octets(p, out);
    } else {
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const std::uint8_t* const q = p + v * kLanes * (kStepBytes / kPanelWidth);
        if constexpr (T == WeightType::kF32) out[0][v] = load(reinterpret_cast<const float*>(q));
        if constexpr (T == WeightType::kF16)
          out[0][v] = load_f16(reinterpret_cast<const std::uint16_t*>(q));
      }
    }
  }
};

// Calls use(k, V (&)[kPanelVectors]) for each k in [begin, end), in rising order.
template <WeightType T, class Use>
QHX_INLINE void for_each_k(const std::uint8_t* panel, std::size_t begin, std::size_t end, Use use) {
  using P = Panel<T>;
  V w[P::kStep][kPanelVectors];
  for (std::size_t k = begin; k < end;) {
    P::read(P::at(panel, k), w);
    const std::size_t first = k % P::kStep;
    if (first == 0 && k + P::kStep <= end) {
      QHX_UNROLL for (std::size_t s = 0; s < P::kStep; ++s) use(k + s, w[s]);
      k += P::kStep;
    } else {
      for (std::size_t s = first; s < P::kStep && k < end; ++s) use(k++, w[s]);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
