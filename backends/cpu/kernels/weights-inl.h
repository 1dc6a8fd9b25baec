// Reading packed panels (kernel_table.h, "Packed weights") as vectors of floats.
#pragma once

namespace qhx::cpu::QHX_TARGET {

// One step reads kStep values of k for all 16 channels of a panel, kStepBytes in all.
template <WeightType T>
struct Panel {
  static constexpr std::size_t kStep = T == WeightType::kI4 ? 2 : 1;
  static constexpr std::size_t kStepBytes = kPanelWidth * (T == WeightType::kF32   ? 4
                                                           : T == WeightType::kF16 ? 2
                                                                                   : 1);
  static constexpr bool kScaled = T == WeightType::kI8 || T == WeightType::kI4;

  static constexpr std::size_t bytes(std::size_t k) { return (k + kStep - 1) / kStep * kStepBytes; }

  // The step that holds k (a multiple of kStep, or the odd one of its pair).
  static const std::uint8_t* at(const std::uint8_t* panel, std::size_t k) {
    return panel + k / kStep * kStepBytes;
  }

  __attribute__((always_inline)) static void read(const std::uint8_t* p,
                                                  V (&out)[kStep][kPanelVectors]) {
    if constexpr (T == WeightType::kI4) {
      load_i4_pair(p, out[0], out[1]);
    } else {
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const std::uint8_t* const q = p + v * kLanes * (kStepBytes / kPanelWidth);
        if constexpr (T == WeightType::kF32) out[0][v] = load(reinterpret_cast<const float*>(q));
        if constexpr (T == WeightType::kF16) {
          out[0][v] = load_f16(reinterpret_cast<const std::uint16_t*>(q));
        }
        if constexpr (T == WeightType::kI8) {
          out[0][v] = load_i8(reinterpret_cast<const std::int8_t*>(q));
        }
      }
    }
  }
};

// What the vectors of Panel<T>::read are multiplied by, for even (parity 0) and odd k.
template <WeightType T>
QHX_INLINE float unit(int parity) {
  return T != WeightType::kI4 ? 1.0f : parity == 0 ? kI4EvenUnit : kI4OddUnit;
}

// Calls use(k, parity, V (&)[kPanelVectors]) for each k in [begin, end), in rising order, with the
// vectors as read. parity is a constant at each call: k % 2 for kI4, else 0.
template <WeightType T, class Use>
QHX_INLINE void for_each_k(const std::uint8_t* panel, std::size_t begin, std::size_t end, Use use) {
  using P = Panel<T>;
  V w[P::kStep][kPanelVectors];
  std::size_t k = begin;
  if constexpr (P::kStep == 2) {
    if (k % 2 == 1 && k < end) {
      P::read(P::at(panel, k), w);
      use(k++, 1, w[1]);
    }
  }
  for (; k + P::kStep <= end; k += P::kStep) {
    P::read(P::at(panel, k), w);
    use(k, 0, w[0]);
    if constexpr (P::kStep == 2) use(k + 1, 1, w[1]);
  }
  if constexpr (P::kStep == 2) {
    if (k < end) {
      P::read(P::at(panel, k), w);
      use(k, 0, w[0]);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
