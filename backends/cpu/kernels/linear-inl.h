// Linear layers over packed weights: a streaming product for few rows, the blocked product for
// many.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/math-inl.h"
#include "kernels/weights-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kMaxStreamedRows = 4;

QHX_INLINE V activate(Activation activation, V v) {
  switch (activation) {
    case Activation::kNone:
      return v;
    case Activation::kRelu:
      return max(zero(), v);
    case Activation::kSilu:
      return silu(v);
    case Activation::kGeluTanh:
      return gelu_tanh(v);
    case Activation::kGeluErf:
      return gelu_erf(v);
  }
  return v;
}

// Writes y for one row and the kLanes channels from `channel` on, given the sums over k, already
// scaled.
QHX_INLINE void finish_vector(const LinearArgs& args, std::size_t row, std::size_t channel, V v) {
  const PackedWeights& w = *args.weights;
  if (channel >= w.n) return;
  if (w.bias != nullptr) v = add(v, load(w.bias + channel));
  v = activate(args.activation, v);
  const float* const residual =
      args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride + channel;
  float* const y = args.y + row * args.y_stride + channel;
  const std::size_t left = w.n - channel;
  if (left >= kLanes) {
    if (residual != nullptr) v = add(v, load(residual));
    store(y, v);
  } else {
    if (residual != nullptr) v = add(v, load_n(residual, left));
    store_n(y, v, left);
  }
}

// ---- Few rows ----
//
// Bound: memory bandwidth. The panels of a slice are one contiguous stream, read once for all R
// rows. Several accumulators for each output hide the latency of the FMA; prefetching keeps the
// stream going across pages, where the hardware's own prefetchers stop.

template <int R>
using PanelSums = V[R][kPanelVectors];

template <int R>
QHX_INLINE void clear(PanelSums<R>& sums) {
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) sums[r][v] = zero();
  }
}

// sums += x[r][k] * column for R rows.
template <int R>
QHX_INLINE void add_products(const float* x, std::size_t x_stride, const V (&column)[kPanelVectors],
                             PanelSums<R>& sums) {
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    const V value = set1(x[r * x_stride]);
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
      sums[r][v] = fma(value, column[v], sums[r][v]);
    }
  }
}

// Sums over k in [begin, end) of one panel, scales not applied. As many chains of additions as
// registers allow.
template <WeightType T, int R>
QHX_INLINE void stream_group(const std::uint8_t* weights, const float* x, std::size_t x_stride,
                             std::size_t begin, std::size_t end, PanelSums<R>& result) {
  using P = Panel<T>;
  constexpr bool kRoomy = R == 1 || R * kPanelVectors <= 4;
  constexpr int kChains = kRoomy ? 4 : R * kPanelVectors <= 8 ? 2 : 1;
  constexpr std::size_t kUnroll = P::kStep < 4 ? 4 : P::kStep;
  constexpr std::size_t kUnrollBytes = kUnroll / P::kStep * P::kStepBytes;
  constexpr std::size_t kPrefetchBytes = 2048;
  PanelSums<R> sums[kChains];
  QHX_UNROLL for (int c = 0; c < kChains; ++c) clear<R>(sums[c]);

  std::size_t k = begin;
  if (k % P::kStep == 0) {
    for (; k + kUnroll <= end; k += kUnroll) {
      const std::uint8_t* const p = P::at(weights, k);
      QHX_UNROLL for (std::size_t b = 0; b < kUnrollBytes; b += 64) {
        __builtin_prefetch(p + kPrefetchBytes + b);
      }
      QHX_UNROLL for (std::size_t u = 0; u < kUnroll; u += P::kStep) {
        V columns[P::kStep][kPanelVectors];
        P::read(p + u / P::kStep * P::kStepBytes, columns);
        QHX_UNROLL for (std::size_t s = 0; s < P::kStep; ++s) {
          add_products<R>(x + k + u + s, x_stride, columns[s], sums[(u + s) % kChains]);
        }
      }
    }
  }
  for_each_k<T>(
      weights, k,
      end, [&](std::size_t at, const V(&column)[kPanelVectors]) __attribute__((always_inline)) {
        add_products<R>(x + at, x_stride, column, sums[0]);
      });

  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
      result[r][v] = sums[0][r][v];
      QHX_UNROLL for (int c = 1; c < kChains; ++c) result[r][v] = add(result[r][v], sums[c][r][v]);
    }
  }
}

template <WeightType T, int R>
static void stream_panel(const LinearArgs& args, std::size_t row, std::size_t panel) {
  using P = Panel<T>;
  const PackedWeights& w = *args.weights;
  const auto* const weights = static_cast<const std::uint8_t*>(w.panels) + panel * P::bytes(w.k);
  const float* const x = args.x + row * args.x_stride;
  PanelSums<R> total;
  if (!P::kScaled || w.group == 0) {
    stream_group<T, R>(weights, x, args.x_stride, 0, w.k, total);
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors && P::kScaled; ++v) {
      const V scale = load(w.scales + panel * kPanelWidth + v * kLanes);
      QHX_UNROLL for (int r = 0; r < R; ++r) total[r][v] = mul(total[r][v], scale);
    }
  } else {
    clear<R>(total);
    const std::size_t groups = (w.k + w.group - 1) / w.group;
    for (std::size_t g = 0; g < groups; ++g) {
      PanelSums<R> sums;
      stream_group<T, R>(weights, x, args.x_stride, g * w.group, least(w.k, (g + 1) * w.group),
                         sums);
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        const V scale = load_f16(w.group_scales + (panel * groups + g) * kPanelWidth + v * kLanes);
        QHX_UNROLL for (int r = 0; r < R; ++r) total[r][v] = fma(sums[r][v], scale, total[r][v]);
      }
    }
  }
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
      finish_vector(args, row + r, panel * kPanelWidth + v * kLanes, total[r][v]);
    }
  }
}

template <WeightType T, int R>
static void stream(const LinearArgs& args, const Slice& slice) {
  if constexpr (R > 0) {
    if (slice.row_end - slice.row_begin != R) return stream<T, R - 1>(args, slice);
    for (std::size_t p = slice.panel_begin; p < slice.panel_end; ++p) {
      stream_panel<T, R>(args, slice.row_begin, p);
    }
  }
}

// ---- Many rows ----

// A panel's values for k in [begin, begin + count) as floats, rows of `to` to_stride apart. Group
// scales are applied; a scale for the whole channel is left to the end, where it costs one
// multiplication instead of K.
template <WeightType T>
static void dequantize(const PackedWeights& w, std::size_t panel, std::size_t begin,
                       std::size_t count, float* to, std::size_t to_stride) {
  using P = Panel<T>;
  const auto* const weights = static_cast<const std::uint8_t*>(w.panels) + panel * P::bytes(w.k);
  const std::size_t end = begin + count;
  const bool grouped = P::kScaled && w.group != 0;
  const std::size_t group = grouped ? w.group : w.k;
  const std::size_t groups = grouped ? (w.k + group - 1) / group : 1;
  for (std::size_t k0 = begin; k0 < end;) {
    const std::size_t k1 = least(end, (k0 / group + 1) * group);
    V scale[kPanelVectors];
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
      const std::size_t at = (panel * groups + k0 / group) * kPanelWidth + v * kLanes;
      scale[v] = grouped ? load_f16(w.group_scales + at) : set1(1.0f);
    }
    const auto write = [&](bool scaled) __attribute__((always_inline)) {
      for_each_k<T>(
          weights, k0,
          k1, [&](std::size_t k, const V(&column)[kPanelVectors]) __attribute__((always_inline)) {
            float* const row = to + (k - begin) * to_stride;
            QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
              store(row + v * kLanes, scaled ? mul(column[v], scale[v]) : column[v]);
            }
          });
    };
    if (grouped) {
      write(true);
    } else {
      write(false);
    }
    k0 = k1;
  }
}

template <WeightType T>
static void linear_blocked(const LinearArgs& args, const Slice& slice, void* scratch) {
  const PackedWeights& w = *args.weights;
  const bool scale_at_end = Panel<T>::kScaled && w.group == 0;
  const auto load_b = [&](std::size_t panel, std::size_t panels, std::size_t k0, std::size_t kn,
                          float* b) {
    for (std::size_t p = 0; p < panels; ++p) {
      dequantize<T>(w, panel + p, k0, kn, b + p * kPanelWidth, panels * kPanelWidth);
    }
  };
  const auto finish = [&](std::size_t row, std::size_t rows, std::size_t panel, std::size_t panels,
                          const float* c) {
    const std::size_t first = panel * kPanelWidth;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t j = 0; j < panels * kPanelWidth; j += kLanes) {
        V v = load(c + r * kCStride + j);
        if (scale_at_end) v = mul(v, load(w.scales + first + j));
        finish_vector(args, row + r, first + j, v);
      }
    }
  };
  gemm(args.x, args.x_stride, w.k, slice, scratch, load_b, finish);
}

template <WeightType T>
static void linear_of(const LinearArgs& args, const Slice& slice, void* scratch) {
  if (slice.row_end - slice.row_begin <= kMaxStreamedRows) {
    stream<T, kMaxStreamedRows>(args, slice);
  } else {
    linear_blocked<T>(args, slice, scratch);
  }
}

static void linear(const LinearArgs& args, const Slice& slice, void* scratch) {
  switch (args.weights->type) {
    case WeightType::kF32:
      return linear_of<WeightType::kF32>(args, slice, scratch);
    case WeightType::kF16:
      return linear_of<WeightType::kF16>(args, slice, scratch);
    case WeightType::kI8:
      return linear_of<WeightType::kI8>(args, slice, scratch);
    case WeightType::kI4:
      return linear_of<WeightType::kI4>(args, slice, scratch);
  }
}

}  // namespace qhx::cpu::QHX_TARGET
