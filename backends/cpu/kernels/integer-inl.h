// Linear layers in integers: int8 and 4-bit weights times activations that are quantized for the
// call (quantize_groups-inl.h).
//
// The products of a group are summed in 32 bits, exactly: 2^7 * 2^15 * 32 is below 2^31. x86
// multiplies unsigned by signed bytes: weights get kWeightOffset added, and the sum of the
// activations times that is taken out again where the sums start.
//
// Few rows read the weights as they lie in their panels: bound by memory. For more, a few panels at
// a time are brought to bytes in scratch, where they serve all rows from L2: bound by the products.
#pragma once

#include "kernels/integer_whole-inl.h"
#include "kernels/linear-inl.h"
#include "kernels/quantize_groups-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kQuadBytes = 4 * kLanes;  // of a vector: four k of kLanes channels
constexpr std::size_t kGroupQuads = kIntegerGroup / 4;

// ---- Weights ----
//
// Both kinds: kPanels, how many; kStep, the k of a step; kOffset, what was added to each weight;
// kPadded, whether k is whole groups; kGrouped, whether groups have scales; read, the vectors of
// step s of group g; group_scale, that of vector v in group g.

// P panels from `panel` on, as they lie in memory.
template <WeightType T, bool G, std::size_t P>
struct StreamedPanels {
  static constexpr std::size_t kPanels = P;
  static constexpr bool kPadded = false, kGrouped = G;
  static constexpr std::size_t kStep = Panel<T>::kStep;
  static constexpr std::int32_t kOffset = T == WeightType::kI8 ? kWeightOffset8 : kWeightOffset4;
  static constexpr std::size_t kAhead = 2048;

  StreamedPanels(const PackedWeights& w, std::size_t panel)
      : weights(static_cast<const std::uint8_t*>(w.panels) + panel * Panel<T>::bytes(w.k)),
        stride(Panel<T>::bytes(w.k)),
        group(w.group),
        groups(G ? (w.k + w.group - 1) / w.group : 1),
        scales(G ? w.group_scales + panel * groups * kPanelWidth : nullptr) {}

  __attribute__((always_inline)) void read(std::size_t g, std::size_t s,
                                           I (&w)[kStep / 4][P * kPanelVectors]) const {
    QHX_UNROLL for (std::size_t p = 0; p < P; ++p) {
      const std::uint8_t* const from =
          weights + p * stride + (g * (kIntegerGroup / kStep) + s) * Panel<T>::kStepBytes;
      __builtin_prefetch(from + kAhead);
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const std::size_t at = p * kPanelVectors + v;
        if constexpr (T == WeightType::kI8) {
          w[0][at] = load_weights_i8(from + v * kQuadBytes);
        } else {
          load_weights_i4(from + v * kQuadBytes, w[0][at], w[1][at]);
        }
      }
    }
  }
  __attribute__((always_inline)) V group_scale(std::size_t g, std::size_t v) const {
    const std::size_t panel = v / kPanelVectors, lanes = v % kPanelVectors * kLanes;
    return load_f16(scales + (panel * groups + g * kIntegerGroup / group) * kPanelWidth + lanes);
  }

  const std::uint8_t* weights;
  std::size_t stride, group, groups;
  const std::uint16_t* scales;
};

// P panels in scratch: bytes [groups * kGroupQuads][P * kPanelVectors][kQuadBytes], zero past K,
// and where weights have groups floats [groups][P * 16].
template <bool G, std::size_t P>
struct PreparedPanels {
  static constexpr std::size_t kPanels = P;
  static constexpr bool kPadded = true, kGrouped = G;
  static constexpr std::size_t kStep = 4;
  static constexpr std::int32_t kOffset = kWeightOffset8;

  __attribute__((always_inline)) void read(std::size_t g, std::size_t s,
                                           I (&w)[1][P * kPanelVectors]) const {
    const std::uint8_t* const from =
        weights + (g * kGroupQuads + s) * P * kPanelVectors * kQuadBytes;
    QHX_UNROLL for (std::size_t v = 0; v < P * kPanelVectors; ++v) w[0][v] =
        load_ints(from + v * kQuadBytes);
  }
  __attribute__((always_inline)) V group_scale(std::size_t g, std::size_t v) const {
    return load(scales + g * P * kPanelWidth + v * kLanes);
  }

  const std::uint8_t* weights;
  const float* scales;
};

static std::size_t integer_scratch_bytes(std::size_t k) {
  const std::size_t groups = (k + kIntegerGroup - 1) / kIntegerGroup;
  return groups * kIntegerPanels * kPanelWidth * (kIntegerGroup + sizeof(float));
}

template <WeightType T, bool G, std::size_t P>
static PreparedPanels<G, P> prepare(const PackedWeights& w, std::size_t panel, void* scratch) {
  using Source = StreamedPanels<T, G, P>;
  constexpr std::size_t kVectors = P * kPanelVectors, kSteps = kIntegerGroup / Source::kStep;
  constexpr std::uint32_t kOnes = 0x01010101;  // a byte times this: four of it
  const Source source(w, panel);
  const std::size_t groups = (w.k + kIntegerGroup - 1) / kIntegerGroup;
  auto* to = static_cast<std::uint8_t*>(scratch);
  auto* const scales = reinterpret_cast<float*>(to + groups * kGroupQuads * kVectors * kQuadBytes);
  const std::size_t steps = (w.k + Source::kStep - 1) / Source::kStep;
  for (std::size_t s = 0; s < groups * kSteps; ++s) {
    I weights[Source::kStep / 4][kVectors];
    if (s < steps) source.read(0, s, weights);
    QHX_UNROLL for (std::size_t q = 0; q < Source::kStep / 4; ++q) {
      QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v, to += kQuadBytes) {
        // Sums of four bytes at a time: none is large enough to carry.
        constexpr auto kMore =
            static_cast<std::int32_t>((kWeightOffset8 - Source::kOffset) * kOnes);
        store_ints(to, s < steps ? add(weights[q][v], broadcast(kMore))
                                 : broadcast(static_cast<std::int32_t>(kWeightOffset8 * kOnes)));
      }
    }
  }
  for (std::size_t g = 0; g < groups && G; ++g) {
    for (std::size_t v = 0; v < kVectors; ++v)
      store(scales + (g * kVectors + v) * kLanes, source.group_scale(g, v));
  }
  return {static_cast<const std::uint8_t*>(scratch), scales};
}

// ---- Products ----

// Up to so many rows, to read panels as they lie costs less than to prepare them.
constexpr std::size_t kMaxUnpreparedRows = 24;

// L pieces of R rows from `row` on times all of `weights`, the panels from `panel` on. Where x has
// more pieces than that, the high ones alone.
template <int L, int R, class Weights>
static void integer_tile(const LinearArgs& args, const IntegerRows& x, std::size_t row,
                         std::size_t panel, const Weights& weights) {
  constexpr std::size_t kVectors = Weights::kPanels * kPanelVectors, kStep = Weights::kStep;
  const PackedWeights& w = *args.weights;
  const auto levels = static_cast<std::size_t>(x.levels);
  const std::size_t group_bytes = levels * kIntegerGroup, row_bytes = x.groups * group_bytes;
  const bool high_only = levels > L;
  const std::int8_t* values = x.values + row * row_bytes;
  V total[R][kVectors];
  QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) total[r][v] = zero();
  }
  for (std::size_t g = 0; g < x.groups; ++g, values += group_bytes) {
    I acc[L][R][kVectors];
    QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      const std::int32_t sum = x.sums[((row + r) * x.groups + g) * levels + (high_only ? 1 : 0)];
      const I start = broadcast(-Weights::kOffset * sum);
      QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
        acc[L - 1][r][v] = start;
        if constexpr (L == 2) acc[0][r][v] = broadcast(0);
      }
    }
    const auto add_step = [&](std::size_t s) __attribute__((always_inline)) {
      I columns[kStep / 4][kVectors];
      weights.read(g, s, columns);
      QHX_UNROLL for (std::size_t q = 0; q < kStep / 4; ++q) {
        QHX_UNROLL for (std::size_t l = 0; l < L; ++l) {
          QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
            const I four =
                broadcast4(values + r * row_bytes + l * kIntegerGroup + s * kStep + 4 * q);
            QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) acc[l][r][v] =
                dot(acc[l][r][v], columns[q][v], four);
          }
        }
      }
    };
    // The usual length as a constant, so that the loop over it is unrolled.
    const std::size_t k =
        Weights::kPadded ? kIntegerGroup : least(kIntegerGroup, w.k - g * kIntegerGroup);
    if (k == kIntegerGroup) {
      QHX_UNROLL for (std::size_t s = 0; s < kIntegerGroup / kStep; ++s) add_step(s);
    } else {
      for (std::size_t s = 0; s * kStep < k; ++s) add_step(s);
    }
    QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
      const V group_scale = Weights::kGrouped ? weights.group_scale(g, v) : set1(1.0f);
      QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
        I sum = acc[L - 1][r][v];
        if constexpr (L == 2) sum = add(sum, shift_left<kPieceBits>(acc[0][r][v]));
        V value = to_floats(sum);
        if constexpr (Weights::kGrouped) value = mul(value, group_scale);
        total[r][v] = fma(value, set1(x.scales[(row + r) * x.groups + g]), total[r][v]);
      }
    }
  }
  const V unit = set1(high_only ? static_cast<float>(1 << kPieceBits) : 1.0f);
  QHX_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
    const std::size_t channel = panel * kPanelWidth + v * kLanes;
    const V scale = Weights::kGrouped ? unit : mul(load(w.scales + channel), unit);
    QHX_UNROLL for (std::size_t r = 0; r < R; ++r) {
      finish_vector(args, row + r, channel, mul(total[r][v], scale));
    }
  }
}

// Bytes that will be wanted next, brought to L2 a little with each row tile: to wait for memory all
// at once would take a tenth of the time.
class Ahead {
 public:
  Ahead(const std::uint8_t* begin, std::size_t bytes, std::size_t rows)
      : at_(begin), end_(begin + bytes), row_bytes_(rows == 0 ? 0 : bytes / rows + 1) {}
  void fetch(std::size_t rows) {
    const std::uint8_t* const stop =
        at_ + least(rows * row_bytes_ + 63, static_cast<std::size_t>(end_ - at_));
    for (; at_ < stop; at_ += 64) __builtin_prefetch(at_, 0, 2);
    at_ = at_ < end_ ? at_ : end_;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::size_t row_bytes_;
};

// All rows of the slice from `row` on in tiles of R: a row tile's activations stay in L1.
template <int L, int R, class Weights>
static void integer_rows(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                         std::size_t panel, std::size_t row, const Weights& weights, Ahead ahead) {
  if constexpr (R > 0) {
    for (; row + R <= slice.row_end; row += R) {
      ahead.fetch(R);
      integer_tile<L, R>(args, x, row, panel, weights);
    }
    if (row < slice.row_end) integer_rows<L, R - 1>(args, x, slice, panel, row, weights, ahead);
  }
}

template <WeightType T, bool G, int L, std::size_t P>
static void integer_few_rows(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                             std::size_t panel) {
  for (; panel + P <= slice.panel_end; panel += P) {
    integer_rows<L, kMaxStreamedRows>(args, x, slice, panel, slice.row_begin,
                                      StreamedPanels<T, G, P>(*args.weights, panel),
                                      Ahead(nullptr, 0, 0));
  }
  if constexpr (P > 1) integer_few_rows<T, G, L, P / 2>(args, x, slice, panel);
}

template <WeightType T, bool G, int L, std::size_t P>
static void integer_many_rows(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                              std::size_t panel, void* scratch) {
  constexpr int kRows = L == 1 ? kIntegerRows1 : kIntegerRows2;
  const std::size_t panel_bytes = Panel<T>::bytes(args.weights->k);
  const auto* const panels = static_cast<const std::uint8_t*>(args.weights->panels);
  for (; panel + P <= slice.panel_end; panel += P) {
    const std::size_t next = panel + P, count = least(P, slice.panel_end - next);
    const Ahead ahead(panels + next * panel_bytes, count * panel_bytes,
                      slice.row_end - slice.row_begin);
    integer_rows<L, kRows>(args, x, slice, panel, slice.row_begin,
                           prepare<T, G, P>(*args.weights, panel, scratch), ahead);
  }
  if constexpr (P > 1) integer_many_rows<T, G, L, P / 2>(args, x, slice, panel, scratch);
}

template <WeightType T, bool G, int L>
static void integer_of(const LinearArgs& args, const IntegerRows& x, const Slice& slice,
                       void* scratch) {
  if (slice.row_end - slice.row_begin <= kMaxUnpreparedRows) {
    integer_few_rows<T, G, L, kStreamedPanels>(args, x, slice, slice.panel_begin);
  } else {
    integer_many_rows<T, G, L, kIntegerPanels>(args, x, slice, slice.panel_begin, scratch);
  }
}

template <WeightType T, bool G>
static void integer_of(const LinearArgs& args, const IntegerRows& x, int levels, const Slice& slice,
                       void* scratch) {
  if constexpr (kWholeInt16) {
    if (x.levels == 2) return whole_panels<Whole, T>(args, x, slice);
  } else if (levels == 2) {
    return integer_of<T, G, 2>(args, x, slice, scratch);
  }
  integer_of<T, G, 1>(args, x, slice, scratch);
}

static void linear_integer(const LinearArgs& args, const IntegerRows& x, int levels,
                           const Slice& slice, void* scratch) {
  const auto product = [&]<WeightType T>() {
    if (args.weights->group == 0) return integer_of<T, false>(args, x, levels, slice, scratch);
    integer_of<T, true>(args, x, levels, slice, scratch);
  };
  if (args.weights->type == WeightType::kI8) return product.template operator()<WeightType::kI8>();
  product.template operator()<WeightType::kI4>();
}

}  // namespace qhx::cpu::QHX_TARGET
