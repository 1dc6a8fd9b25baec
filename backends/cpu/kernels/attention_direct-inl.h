// Attention's products straight from the cache, for up to kDirectRows rows: each key and value is
// read once, for all rows. Bound: memory bandwidth. Decode.
#pragma once

#include "kernels/attention_blocks-inl.h"

namespace qhx::cpu::QHX_TARGET {

// The first `rows` rows of s times the scales of the columns: those of keys after the products with
// them, those of values before. Neither is then needed for each element.
static void scale_columns(std::size_t rows, const LiveColumns& columns, const float* scales,
                          const AttentionScratch& a) {
  const std::size_t count = columns.count;
  const bool adjacent = columns.adjacent();
  for (std::size_t r = 0; r < rows; ++r) {
    float* const s = a.s + r * kAStride;
    std::size_t j = 0;
    if (adjacent) {
      const float* const from = scales + columns.index[0];
      for (; j + kLanes <= count; j += kLanes) store(s + j, mul(load(s + j), load(from + j)));
    }
    for (; j < count; ++j) s[j] *= scales[columns.index[j]];
  }
}

// Four columns at a time; their sums over lanes are taken together. The values that will be wanted
// next are prefetched meanwhile: the products with them go over the head in strips, which no
// prefetcher follows.
template <int R, KvType T>
static void scores_direct(std::size_t head_dim, const LiveColumns& columns,
                          const AttentionScratch& a) {
  constexpr std::size_t kElementBytes = T == KvType::kF32 ? 4 : T == KvType::kF16 ? 2 : 1;
  const KvSegment& kv = *columns.segment;
  const auto* const values = static_cast<const char*>(kv.v);
  for (std::size_t j = 0; j < columns.count; j += 4) {
    std::size_t row[4];
    for (std::size_t i = 0; i < 4; ++i) {  // past the end, the last column again
      const std::uint32_t index = columns.index[least(j + i, columns.count - 1)];
      row[i] = index * kv.k_stride;
      const char* const value = values + index * kv.v_stride * kElementBytes;
      for (std::size_t b = 0; b < head_dim * kElementBytes; b += 64) __builtin_prefetch(value + b);
    }
    V sum[R][4];
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      QHX_UNROLL for (int i = 0; i < 4; ++i) sum[r][i] = zero();
    }
    for (std::size_t chunk = 0; chunk < head_dim; chunk += kBlockK) {
      const float* const q = a.q + chunk / kBlockK * kQueryRows * kAStride;
      const std::size_t width = least(kBlockK, head_dim - chunk);
      const auto step = [&](std::size_t d, std::size_t n) __attribute__((always_inline)) {
        V key[4];
        QHX_UNROLL for (int i = 0; i < 4; ++i) {
          key[i] = n == kLanes ? load_any(T, kv.k, row[i] + chunk + d)
                               : load_any_n(T, kv.k, row[i] + chunk + d, n);
        }
        QHX_UNROLL for (int r = 0; r < R; ++r) {
          const V query = load(q + r * kAStride + d);
          QHX_UNROLL for (int i = 0; i < 4; ++i) sum[r][i] = fma(query, key[i], sum[r][i]);
        }
      };
      std::size_t d = 0;
      for (; d + kLanes <= width; d += kLanes) step(d, kLanes);
      if (d < width) step(d, width - d);
    }
    QHX_UNROLL for (int r = 0; r < R; ++r) {  // rows of s have room past count
      reduce_add4(sum[r][0], sum[r][1], sum[r][2], sum[r][3], a.s + r * kAStride + j);
    }
  }
  if constexpr (T == KvType::kI8) scale_columns(R, columns, kv.k_scales, a);
}

// kWide vectors of the head at a time, so that their sums stay in registers over all columns.
template <int R, KvType T>
static void values_direct(std::size_t head_dim, const LiveColumns& columns,
                          const AttentionScratch& a) {
  constexpr int kWide = 4;
  const KvSegment& kv = *columns.segment;
  if constexpr (T == KvType::kI8) scale_columns(R, columns, kv.v_scales, a);
  std::size_t d = 0;
  for (; d + kWide * kLanes <= head_dim; d += kWide * kLanes) {
    V sum[R][kWide];
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      QHX_UNROLL for (int i = 0; i < kWide; ++i) sum[r][i] =
          load(a.o + r * a.o_stride + d + i * kLanes);
    }
    for (std::size_t j = 0; j < columns.count; ++j) {
      const std::size_t at = columns.index[j] * kv.v_stride + d;
      V value[kWide];
      QHX_UNROLL for (int i = 0; i < kWide; ++i) value[i] = load_any(T, kv.v, at + i * kLanes);
      QHX_UNROLL for (int r = 0; r < R; ++r) {
        const V weight = set1(a.s[r * kAStride + j]);
        QHX_UNROLL for (int i = 0; i < kWide; ++i) sum[r][i] = fma(weight, value[i], sum[r][i]);
      }
    }
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      QHX_UNROLL for (int i = 0; i < kWide; ++i)
          store(a.o + r * a.o_stride + d + i * kLanes, sum[r][i]);
    }
  }
  for (; d < head_dim; d += kLanes) {
    for (std::size_t j = 0; j < columns.count; ++j) {
      const std::size_t at = columns.index[j] * kv.v_stride + d;
      const V value =
          d + kLanes <= head_dim ? load_any(T, kv.v, at) : load_any_n(T, kv.v, at, head_dim - d);
      QHX_UNROLL for (int r = 0; r < R; ++r) {
        float* const o = a.o + r * a.o_stride + d;
        store(o, fma(set1(a.s[r * kAStride + j]), value, load(o)));
      }
    }
  }
}

template <int R>
static void products_direct(bool values, std::size_t rows, std::size_t head_dim,
                            const LiveColumns& columns, const AttentionScratch& a) {
  if constexpr (R > 0) {
    if (rows != R) return products_direct<R - 1>(values, rows, head_dim, columns, a);
    switch (columns.segment->type) {
      case KvType::kF32:
        return values ? values_direct<R, KvType::kF32>(head_dim, columns, a)
                      : scores_direct<R, KvType::kF32>(head_dim, columns, a);
      case KvType::kF16:
        return values ? values_direct<R, KvType::kF16>(head_dim, columns, a)
                      : scores_direct<R, KvType::kF16>(head_dim, columns, a);
      case KvType::kI8:
        return values ? values_direct<R, KvType::kI8>(head_dim, columns, a)
                      : scores_direct<R, KvType::kI8>(head_dim, columns, a);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
