// Linear layers over activations of 16 bits that are multiplied as such: where bytes can only be
// multiplied with saturation (kWholeInt16), one product of 16-bit pairs costs no more than two of
// bytes, and keeps all bits.
//
// Weights are widened to 16 bits as they are read. A vector W then holds four adjacent k of kLanes
// / 2 channels, its products with four activations are summed in pairs: each channel has two
// neighbouring sums, which join at the end.
#pragma once

#include "kernels/linear-inl.h"

namespace qhx::cpu::QHX_TARGET {

// W that a panel's channels are.
constexpr std::size_t kWholeVectors = 2 * kPanelVectors;

// Quad q of a step.
template <class W, WeightType T>
QHX_INLINE typename W::Ints load_whole(const std::uint8_t* from, std::size_t q) {
  if constexpr (T == WeightType::kI8) return W::load_i8(from);
  return q == 0 ? W::load_i4_low(from) : W::load_i4_high(from);
}

// `steps` steps of N vectors of channels times R rows of x, x_stride apart: exact sums.
template <class W, WeightType T, int R, std::size_t N, bool kPrefetch>
QHX_INLINE void add_whole_products(const std::uint8_t* weights, std::size_t steps,
                                   const std::int16_t* x, std::size_t x_stride,
                                   typename W::Ints (&acc)[R][N]) {
  constexpr std::size_t kStep = Panel<T>::kStep;
  constexpr std::size_t kAhead = 2048;
  for (std::size_t s = 0; s < steps; ++s, weights += Panel<T>::kStepBytes, x += kStep) {
    if constexpr (kPrefetch) __builtin_prefetch(weights + kAhead);
    QHX_UNROLL for (std::size_t q = 0; q < kStep / 4; ++q) {
      typename W::Ints four[R];
      QHX_UNROLL for (int r = 0; r < R; ++r) four[r] =
          W::broadcast_four(x + static_cast<std::size_t>(r) * x_stride + 4 * q);
      QHX_UNROLL for (std::size_t v = 0; v < N; ++v) {
        const auto w = load_whole<W, T>(weights + v * 2 * kLanes, q);
        QHX_UNROLL for (int r = 0; r < R; ++r) acc[r][v] = W::dot(acc[r][v], w, four[r]);
      }
    }
  }
}

// R rows and N vectors of one panel's channels, from `first` on, over all of K.
template <class W, WeightType T, int R, std::size_t N, bool kPrefetch>
static void whole_tile(const LinearArgs& args, const IntegerRows& x, std::size_t row,
                       std::size_t panel, std::size_t first) {
  const PackedWeights& w = *args.weights;
  const std::size_t row_values = x.groups * kIntegerGroup;
  const auto* weights = static_cast<const std::uint8_t*>(w.panels) + panel * Panel<T>::bytes(w.k) +
                        first * 2 * kLanes;
  const auto* values = reinterpret_cast<const std::int16_t*>(x.values) + row * row_values;
  const std::size_t weight_groups = w.group == 0 ? 1 : (w.k + w.group - 1) / w.group;
  V total[R][N];
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < N; ++v) total[r][v] = zero();
  }
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::size_t k = least(kIntegerGroup, w.k - g * kIntegerGroup);
    typename W::Ints acc[R][N];
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      QHX_UNROLL for (std::size_t v = 0; v < N; ++v) acc[r][v] = W::none();
    }
    // The usual length as a constant, so that the loop over it is unrolled.
    constexpr std::size_t kWhole = kIntegerGroup / Panel<T>::kStep;
    if (k == kIntegerGroup) {
      add_whole_products<W, T, R, N, kPrefetch>(weights, kWhole, values, row_values, acc);
    } else {
      add_whole_products<W, T, R, N, kPrefetch>(
          weights, (k + Panel<T>::kStep - 1) / Panel<T>::kStep, values, row_values, acc);
    }
    weights += kWhole * Panel<T>::kStepBytes;
    values += kIntegerGroup;
    V scales[N];
    QHX_UNROLL for (std::size_t v = 0; v < N; ++v) scales[v] = set1(1.0f);
    if (w.group != 0) {
      const std::uint16_t* const group_scales =
          w.group_scales + (panel * weight_groups + g * kIntegerGroup / w.group) * kPanelWidth +
          first / 2 * kLanes;
      QHX_UNROLL for (std::size_t v = 0; v < N / 2; ++v)
          W::twice_each(load_f16(group_scales + v * kLanes), scales[2 * v], scales[2 * v + 1]);
    }
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      const V x_scale = set1(x.scales[(row + static_cast<std::size_t>(r)) * x.groups + g]);
      QHX_UNROLL for (std::size_t v = 0; v < N; ++v) {
        V value = W::to_floats(acc[r][v]);
        if (w.group != 0) value = mul(value, scales[v]);
        total[r][v] = fma(value, x_scale, total[r][v]);
      }
    }
  }
  QHX_UNROLL for (std::size_t v = 0; v < N / 2; ++v) {
    const std::size_t channel = panel * kPanelWidth + (first / 2 + v) * kLanes;
    const V scale = w.group == 0 ? load(w.scales + channel) : set1(1.0f);
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      const V sum = W::add_neighbours(total[r][2 * v], total[r][2 * v + 1]);
      finish_vector(args, row + static_cast<std::size_t>(r), channel, mul(sum, scale));
    }
  }
}

template <class W, WeightType T, int R, bool kPrefetch>
static void whole_rows(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                       std::size_t panel, std::size_t row) {
  if constexpr (R > 0) {
    // As many vectors at a time as leave room in the registers for weights and activations.
    constexpr std::size_t kVectors = R <= 2 ? kWholeVectors : kWholeVectors / 2;
    static_assert(kVectors % 2 == 0);
    for (; row + R <= slice.row_end; row += R) {
      for (std::size_t v = 0; v < kWholeVectors; v += kVectors)
        whole_tile<W, T, R, kVectors, kPrefetch>(args, x, row, panel, v);
    }
    if (row < slice.row_end) whole_rows<W, T, R - 1, kPrefetch>(args, x, slice, panel, row);
  }
}

// Each panel over all rows: its weights stay in L1 or L2.
template <class W, WeightType T>
static void whole_panels(const LinearArgs& args, const IntegerRows& x, const Slice& slice) {
  const bool few = slice.row_end - slice.row_begin <= kMaxStreamedRows;
  for (std::size_t p = slice.panel_begin; p < slice.panel_end; ++p) {
    if (few) {
      whole_rows<W, T, W::kRows, true>(args, x, slice, p, slice.row_begin);
    } else {
      whole_rows<W, T, W::kRows, false>(args, x, slice, p, slice.row_begin);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
