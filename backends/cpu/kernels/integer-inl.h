// Linear layers in integers: int8 and 4-bit weights times activations that are quantized for the
// call, in groups of kIntegerGroup along K, each row's group with its own scale.
//
// An activation is one piece of kPieceBits bits (levels 1), or two, high and low, of twice as many
// (levels 2): twice the products, and an error of 2^-15 or less of the group's largest value. Where
// kWholeInt16 says so it is no two pieces but one of 16 bits: see integer_whole-inl.h. The products
// of a group are summed in 32 bits, exactly: 2^7 * 2^15 * 32 is below 2^31. x86 multiplies
// unsigned by signed bytes: weights get kWeightOffset added, and the sum of the activations times
// that is taken out again where the sums start.
#pragma once

#include "kernels/integer_whole-inl.h"
#include "kernels/linear-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kIntegerQuads = kIntegerGroup / 4;
constexpr float kPieceTop = static_cast<float>((1 << (kPieceBits - 1)) - 1);
constexpr float kLevel2Top = kWholeInt16 ? 32767.0f : kPieceTop * (1 << kPieceBits);

// ---- Activations ----

// One group: `count` floats, the rest of the group counts as zero.
static void quantize_group(const float* x, std::size_t count, int levels, std::int8_t* to,
                           float* scale, std::int32_t* sum) {
  float values[kIntegerGroup] = {};
  __builtin_memcpy(values, x, count * sizeof(float));
  V high = zero();
  for (std::size_t i = 0; i < kIntegerGroup; i += kLanes) high = max(high, abs(load(values + i)));
  const float largest = reduce_max(high);
  // Beyond both ends of what floats hold there is no scale; zeros times NaN or 0 is what is left.
  bool finite = true;
  for (std::size_t i = 0; i < kIntegerGroup; ++i) finite &= values[i] - values[i] == 0.0f;
  const float unit = levels == 1 ? kPieceTop : kLevel2Top;
  const float inverse = unit / largest;
  const bool usable = finite && largest > 0.0f && inverse <= __FLT_MAX__;
  *sum = 0;
  if (!usable) {
    *scale = finite ? 0.0f : __builtin_nanf("");
    __builtin_memset(to, 0, static_cast<std::size_t>(levels) * kIntegerGroup);
    return;
  }
  *scale = largest / unit;
  const V factor = set1(inverse);
  for (std::size_t i = 0; i < kIntegerGroup; i += kLanes)
    store(values + i, round(mul(load(values + i), factor)));
  std::int32_t total = 0;
  if (levels == 1) {
    for (std::size_t i = 0; i < kIntegerGroup; ++i) {
      const auto q = static_cast<std::int32_t>(values[i]);
      to[i] = static_cast<std::int8_t>(q);
      total += q;
    }
  } else if (kWholeInt16) {
    for (std::size_t i = 0; i < kIntegerGroup; ++i) {
      const auto q = static_cast<std::int16_t>(values[i]);
      __builtin_memcpy(to + sizeof(q) * i, &q, sizeof(q));
      total += q;
    }
  } else {
    constexpr std::int32_t kHalf = 1 << (kPieceBits - 1);
    for (std::size_t i = 0; i < kIntegerGroup; ++i) {
      const auto q = static_cast<std::int32_t>(values[i]);
      const std::int32_t top = (q + kHalf) >> kPieceBits;
      to[i] = static_cast<std::int8_t>(top);
      to[kIntegerGroup + i] = static_cast<std::int8_t>(q - (top << kPieceBits));
      total += q;
    }
  }
  *sum = total;
}

static void quantize(const float* x, std::size_t x_stride, std::size_t row_begin,
                     std::size_t row_end, const IntegerRows& to) {
  const std::size_t group_bytes = static_cast<std::size_t>(to.levels) * kIntegerGroup;
  for (std::size_t row = row_begin; row < row_end; ++row) {
    for (std::size_t g = 0; g < to.groups; ++g) {
      const std::size_t at = row * to.groups + g;
      quantize_group(x + row * x_stride + g * kIntegerGroup,
                     least(kIntegerGroup, to.k - g * kIntegerGroup), to.levels,
                     to.values + at * group_bytes, to.scales + at, to.sums + at);
    }
  }
}

// ---- Products ----

// `steps` steps of P panels at `weights`, `stride` bytes apart, times R rows of x, x_stride apart.
// Few rows are bound by reading the weights: kPrefetch.
template <WeightType T, int L, int R, int P, bool kPrefetch>
QHX_INLINE void add_integer_products(const std::uint8_t* weights, std::size_t stride,
                                     std::size_t steps, const std::int8_t* x, std::size_t x_stride,
                                     I (&acc)[L][R][P * kPanelVectors]) {
  constexpr std::size_t kStep = Panel<T>::kStep;
  constexpr std::size_t kAhead = 2048;
  for (std::size_t s = 0; s < steps; ++s, weights += Panel<T>::kStepBytes, x += kStep) {
    I w[kStep / 4][P * kPanelVectors];
    QHX_UNROLL for (std::size_t p = 0; p < P; ++p) {
      const std::uint8_t* const from = weights + p * stride;
      if constexpr (kPrefetch) __builtin_prefetch(from + kAhead);
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const std::size_t at = p * kPanelVectors + v;
        if constexpr (T == WeightType::kI8) {
          w[0][at] = load_weights_i8(from + v * 4 * kLanes);
        } else {
          load_weights_i4(from + v * 4 * kLanes, w[0][at], w[1][at]);
        }
      }
    }
    QHX_UNROLL for (std::size_t q = 0; q < kStep / 4; ++q) {
      QHX_UNROLL for (std::size_t l = 0; l < L; ++l) {
        QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
          const I four = broadcast4(x + r * x_stride + l * kIntegerGroup + 4 * q);
          QHX_UNROLL for (std::size_t v = 0; v < P * kPanelVectors; ++v) {
            acc[l][r][v] = dot(acc[l][r][v], w[q][v], four);
          }
        }
      }
    }
  }
}

// R rows and P panels over all of K.
template <WeightType T, int L, int R, int P, bool kPrefetch>
static void integer_tile(const LinearArgs& args, const IntegerRows& x, std::size_t row,
                         std::size_t panel) {
  constexpr std::size_t kVectors = P * kPanelVectors;
  constexpr std::int32_t kOffset = T == WeightType::kI8 ? kWeightOffset8 : kWeightOffset4;
  const PackedWeights& w = *args.weights;
  const std::size_t panel_bytes = Panel<T>::bytes(w.k);
  const std::size_t row_bytes = x.groups * L * kIntegerGroup;
  const auto* weights = static_cast<const std::uint8_t*>(w.panels) + panel * panel_bytes;
  const std::int8_t* values = x.values + row * row_bytes;
  const std::size_t weight_groups = w.group == 0 ? 1 : (w.k + w.group - 1) / w.group;
  V total[R][kVectors];
  QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) total[r][v] = zero();
  }
  for (std::size_t g = 0; g < x.groups; ++g) {
    const std::size_t k = least(kIntegerGroup, w.k - g * kIntegerGroup);
    I acc[L][R][kVectors];
    QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      const I start = broadcast(-kOffset * x.sums[(row + r) * x.groups + g]);
      QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
        acc[L - 1][r][v] = start;
        if constexpr (L == 2) acc[0][r][v] = broadcast(0);
      }
    }
    // The usual length as a constant, so that the loop over it is unrolled.
    constexpr std::size_t kWhole = kIntegerGroup / Panel<T>::kStep;
    if (k == kIntegerGroup) {
      add_integer_products<T, L, R, P, kPrefetch>(weights, panel_bytes, kWhole, values, row_bytes,
                                                  acc);
    } else {
      add_integer_products<T, L, R, P, kPrefetch>(weights, panel_bytes,
                                                  (k + Panel<T>::kStep - 1) / Panel<T>::kStep,
                                                  values, row_bytes, acc);
    }
    weights += kWhole * Panel<T>::kStepBytes;
    values += L * kIntegerGroup;
    const std::uint16_t* const group_scales =
        w.group == 0
            ? nullptr
            : w.group_scales + (panel * weight_groups + g * kIntegerGroup / w.group) * kPanelWidth;
    QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at =
          v / kPanelVectors * weight_groups * kPanelWidth + v % kPanelVectors * kLanes;
      const V group_scale = group_scales == nullptr ? set1(1.0f) : load_f16(group_scales + at);
      QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
        I sum = acc[L - 1][r][v];
        if constexpr (L == 2) sum = add(sum, shift_left<kPieceBits>(acc[0][r][v]));
        V value = to_floats(sum);
        if (group_scales != nullptr) value = mul(value, group_scale);
        total[r][v] = fma(value, set1(x.scales[(row + r) * x.groups + g]), total[r][v]);
      }
    }
  }
  QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
    const std::size_t channel = panel * kPanelWidth + v * kLanes;
    const V scale = w.group == 0 ? load(w.scales + channel) : set1(1.0f);
    QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      finish_vector(args, row + r, channel, mul(total[r][v], scale));
    }
  }
}

// Panels in pairs (kTilePanels), each pair over all rows in tiles of R: a pair's weights stay in
// L2, a row tile's activations in L1.
template <WeightType T, int L, int R, int P, bool kPrefetch>
static void integer_rows(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                         std::size_t panel, std::size_t row) {
  if constexpr (R > 0) {
    for (; row + R <= slice.row_end; row += R)
      integer_tile<T, L, R, P, kPrefetch>(args, x, row, panel);
    if (row < slice.row_end) integer_rows<T, L, R - 1, P, kPrefetch>(args, x, slice, panel, row);
  }
}

template <WeightType T, int L, int R, bool kPrefetch>
static void integer_panels(const LinearArgs& args, const IntegerRows& x, const Slice& slice) {
  std::size_t panel = slice.panel_begin;
  for (; panel + kIntegerPanels <= slice.panel_end; panel += kIntegerPanels)
    integer_rows<T, L, R, kIntegerPanels, kPrefetch>(args, x, slice, panel, slice.row_begin);
  if constexpr (kIntegerPanels > 1) {
    for (; panel < slice.panel_end; ++panel)
      integer_rows<T, L, R, 1, kPrefetch>(args, x, slice, panel, slice.row_begin);
  }
}

template <WeightType T>
static void integer_of(const LinearArgs& args, const IntegerRows& x, const Slice& slice) {
  if (x.levels == 1) return integer_panels<T, 1, kIntegerRows1, false>(args, x, slice);
  if constexpr (kWholeInt16) {
    whole_panels<Whole, T>(args, x, slice);
  } else if (slice.row_end - slice.row_begin <= kMaxStreamedRows) {
    integer_panels<T, 2, kMaxStreamedRows, true>(args, x, slice);
  } else {
    integer_panels<T, 2, kIntegerRows2, false>(args, x, slice);
  }
}

static void linear_integer(const LinearArgs& args, const IntegerRows& x, const Slice& slice) {
  if (args.weights->type == WeightType::kI8) {
    integer_of<WeightType::kI8>(args, x, slice);
  } else {
    integer_of<WeightType::kI4>(args, x, slice);
  }
}

}  // namespace qhx::cpu::QHX_TARGET
