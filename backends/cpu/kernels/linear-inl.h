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
template <WeightType T, int R>
static void stream_panel(const LinearArgs& args, std::size_t row, std::size_t panel) {
  using P = Panel<T>;
  constexpr int kChains = R == 1 ? 4 : 2;
  constexpr std::size_t kPrefetchBytes = 2048;
  const PackedWeights& w = *args.weights;
  const auto* const weights = static_cast<const std::uint8_t*>(w.panels) + panel * P::bytes(w.k);
  const std::size_t group = w.group == 0 || !P::kScaled ? w.k : w.group;
  const float* scale = nullptr;
  if constexpr (P::kScaled) {
    const std::size_t groups = w.group == 0 ? 1 : (w.k + w.group - 1) / w.group;
    scale = w.scales + panel * groups * kPanelWidth;
  }
  const float* const x = args.x + row * args.x_stride;

  V total[R][kPanelVectors];
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) total[r][v] = zero();
  }
  for (std::size_t begin = 0; begin < w.k; begin += group) {
    const std::size_t end = least(w.k, begin + group);
    V sum[kChains][R][kPanelVectors];
    QHX_UNROLL for (int c = 0; c < kChains; ++c) {
      QHX_UNROLL for (int r = 0; r < R; ++r) {
        QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) sum[c][r][v] = zero();
      }
    }
    const auto accumulate = [&](int chain, std::size_t k, const V(&column)[kPanelVectors])
        __attribute__((always_inline)) {
      QHX_UNROLL for (int r = 0; r < R; ++r) {
        const V value = set1(x[r * args.x_stride + k]);
        QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
          sum[chain][r][v] = fma(value, column[v], sum[chain][r][v]);
        }
      }
    };
    std::size_t k = begin;
    if (k % P::kStep == 0) {
      constexpr std::size_t kUnroll = 4;
      for (; k + kUnroll <= end; k += kUnroll) {
        const std::uint8_t* const p = P::at(weights, k);
        QHX_UNROLL for (std::size_t b = 0; b < kUnroll / P::kStep * P::kStepBytes; b += 64) {
          __builtin_prefetch(p + kPrefetchBytes + b);
        }
        QHX_UNROLL for (std::size_t u = 0; u < kUnroll; u += P::kStep) {
          V column[P::kStep][kPanelVectors];
          P::read(p + u / P::kStep * P::kStepBytes, column);
          QHX_UNROLL for (std::size_t s = 0; s < P::kStep; ++s) {
            accumulate(static_cast<int>((u + s) % kChains), k + u + s, column[s]);
          }
        }
      }
    }
    for_each_k<T>(
        weights, k,
        end, [&](std::size_t at, const V(&column)[kPanelVectors]) __attribute__((always_inline)) {
          accumulate(0, at, column);
        });
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
        V s = sum[0][r][v];
        QHX_UNROLL for (int c = 1; c < kChains; ++c) s = add(s, sum[c][r][v]);
        if constexpr (P::kScaled) s = mul(s, load(scale + v * kLanes));
        total[r][v] = add(total[r][v], s);
      }
    }
    if constexpr (P::kScaled) scale += kPanelWidth;
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
  if (w.group == 0 || !P::kScaled) {
    for_each_k<T>(
        weights, begin,
        end, [&](std::size_t k, const V(&column)[kPanelVectors]) __attribute__((always_inline)) {
          float* const row = to + (k - begin) * to_stride;
          QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v)
              store(row + v * kLanes, column[v]);
        });
    return;
  }
  const std::size_t groups = (w.k + w.group - 1) / w.group;
  for (std::size_t k0 = begin; k0 < end;) {
    const std::size_t g = k0 / w.group;
    const std::size_t k1 = least(end, (g + 1) * w.group);
    V scale[kPanelVectors];
    QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
      scale[v] = load(w.scales + (panel * groups + g) * kPanelWidth + v * kLanes);
    }
    for_each_k<T>(
        weights, k0,
        k1, [&](std::size_t k, const V(&column)[kPanelVectors]) __attribute__((always_inline)) {
          float* const row = to + (k - begin) * to_stride;
          QHX_UNROLL for (std::size_t v = 0; v < kPanelVectors; ++v) {
            store(row + v * kLanes, mul(column[v], scale[v]));
          }
        });
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
