// Attention's products over packed tiles: K (transposed) and V are brought to tiles once and serve
// all rows through the register tile of gemm-inl.h. Bound: FMA throughput. Vision and prefill.
//
// Product: Floats, or the target's Narrow (gemm-inl.h): queries, keys, weights and values are then
// paired where they lie.
#pragma once

#include <type_traits>

#include "kernels/attention_blocks-inl.h"
#include "kernels/matmul-inl.h"

namespace qhx::cpu::QHX_TARGET {

// Of the products over n numbers.
template <class Product>
constexpr std::size_t steps(std::size_t n) {
  return std::is_same_v<Product, Floats> ? n : (n + 1) / 2;
}

// n rows of a tile of columns.
template <class Product>
QHX_INLINE void pair_tile(float* rows, std::size_t n) {
  if constexpr (!std::is_same_v<Product, Floats>) {
    for (std::size_t i = 0; i < n; i += 2) {
      for (std::size_t j = 0; j < kTileColumns; j += kLanes) {
        const float* const even = rows + i * kTileColumns + j;
        const V odd = i + 1 < n ? load(even + kTileColumns) : zero();
        store(rows + i / 2 * kTileColumns + j, Product::pair_lanes(load(even), odd));
      }
    }
  }
}

// n numbers of a row, which has room for them rounded up to two vectors.
template <class Product>
QHX_INLINE void pair_row(float* row, std::size_t n) {
  if constexpr (!std::is_same_v<Product, Floats>) {
    if (n % 2 != 0) row[n] = 0.0f;
    for (std::size_t i = 0; i < n; i += 2 * kLanes)
      store(row + i / 2, Product::pair_adjacent(load(row + i), load(row + i + kLanes)));
  }
}

// Whole vectors: the row has room for n rounded up to them.
static void scale_row(float* row, std::size_t n, float scale) {
  for (std::size_t d = 0; d < n; d += kLanes) store(row + d, mul(load(row + d), set1(scale)));
}

template <class Product>
static void pack_keys(const LiveColumns& columns, std::size_t head_dim, const AttentionScratch& a) {
  const KvSegment& kv = *columns.segment;
  const std::size_t row_stride = round_up(head_dim, 16);
  for (std::size_t tile_begin = 0; tile_begin < columns.count; tile_begin += kTileColumns) {
    float* const to = a.k + tile_begin * head_dim;
    const std::size_t in_tile = least(kTileColumns, columns.count - tile_begin);
    for (std::size_t j = 0; j < in_tile; j += kTransposeBlock) {
      const std::size_t rows = least(kTransposeBlock, in_tile - j);
      for (std::size_t r = 0; r < rows; ++r) {
        const std::uint32_t column = columns.index[tile_begin + j + r];
        float* const row = a.rows + r * row_stride;
        copy_floats(kv.type, kv.k, column * kv.k_stride, row, head_dim);
        if (kv.type == KvType::kI8) scale_row(row, head_dim, kv.k_scales[column]);
      }
      transpose(a.rows, row_stride, to + j, kTileColumns, rows, head_dim);
    }
    if (in_tile != kTileColumns) {
      for (std::size_t d = 0; d < head_dim; ++d) {
        for (std::size_t j = in_tile; j < kTileColumns; ++j) to[d * kTileColumns + j] = 0.0f;
      }
    }
    pair_tile<Product>(to, head_dim);
  }
}

template <class Product>
static void pack_values(const LiveColumns& columns, std::size_t head_dim,
                        const AttentionScratch& a) {
  const KvSegment& kv = *columns.segment;
  for (std::size_t j = 0; j < columns.count; ++j) {
    const std::size_t row = columns.index[j] * kv.v_stride;
    const V scale = set1(kv.type == KvType::kI8 ? kv.v_scales[columns.index[j]] : 1.0f);
    for (std::size_t d = 0; d < a.o_stride; d += kLanes) {
      V v = zero();
      if (d + kLanes <= head_dim) {
        v = load_any(kv.type, kv.v, row + d);
      } else if (d < head_dim) {
        v = load_any_n(kv.type, kv.v, row + d, head_dim - d);
      }
      if (kv.type == KvType::kI8) v = mul(v, scale);
      store(a.v + (d / kTileColumns * kKeyColumns + j) * kTileColumns + d % kTileColumns, v);
    }
  }
  for (std::size_t d = 0; d < a.o_stride; d += kTileColumns)
    pair_tile<Product>(a.v + d * kKeyColumns, columns.count);
}

template <class Product>
static void scores_packed(std::size_t head_dim, std::size_t rows, const LiveColumns& columns,
                          const AttentionScratch& a) {
  pack_keys<Product>(columns, head_dim, a);
  for (std::size_t j = 0; j < columns.count; j += kTileColumns) {
    std::size_t d = 0;
    do {
      const std::size_t dn = least(kBlockK, head_dim - d);
      column_tile<Product>(
          kTilePanels, rows, steps<Product>(dn), a.q + d / kBlockK * kQueryRows * kAStride,
          a.k + j * head_dim + steps<Product>(d) * kTileColumns, a.s + j, kAStride, d != 0);
      d += kBlockK;
    } while (d < head_dim);
  }
}

template <class Product>
static void values_packed(std::size_t head_dim, std::size_t rows, const LiveColumns& columns,
                          const AttentionScratch& a) {
  pack_values<Product>(columns, head_dim, a);
  for (std::size_t d = 0; d < a.o_stride; d += kTileColumns) {
    column_tile<Product>(kTilePanels, rows, steps<Product>(columns.count), a.s,
                         a.v + d * kKeyColumns, a.o + d, a.o_stride, true);
  }
}

}  // namespace qhx::cpu::QHX_TARGET
