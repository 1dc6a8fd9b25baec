// Attention with an online softmax: scores are never stored beyond one block of columns.
//
// For each block of up to kQueryRows query rows and each run of up to kKeyColumns columns, the
// columns that some row may see are collected; then S = q K^T, the softmax's running maximum and
// sum are brought up to date, and O = O * correction + weights V. Two ways to do the products:
//   packed  K (transposed) and V are brought to f32 tiles once and serve all rows through the
//   register tile of
//           gemm-inl.h. Bound: FMA throughput. Vision and prefill.
//   direct  up to kDirectRows rows: each key and value is read once, straight from the cache, for
//   all rows. Bound:
//           memory bandwidth. Decode.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/math-inl.h"
#include "kernels/matmul-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kQueryRows = 192;
constexpr std::size_t kKeyColumns = 128;
constexpr std::size_t kDirectRows = 4;
constexpr float kMaskedOut = -30000.0f;
constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kLowestFloat = -__FLT_MAX__;
static_assert(kKeyColumns <= kBlockK && kKeyColumns % kTileColumns == 0);

QHX_INLINE std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

// Scratch, carved from the caller's memory. Rows of q and s are kAStride apart: both are left
// operands of tile().
struct AttentionScratch {
  float* q;        // [D / kBlockK rounded up][kQueryRows][kAStride]
  float* s;        // [kQueryRows][kAStride] scores, then weights
  float* o;        // [kQueryRows][D rounded up to tiles] the unnormalised result
  float* k;        // [kKeyColumns / kTileColumns][D][kTileColumns]
  float* v;        // [D rounded up / kTileColumns][kKeyColumns][kTileColumns]
  float* rows;     // [kTransposeBlock][D rounded up to 16] keys on their way to k
  float* mask;     // [kKeyColumns] one row's mask at the live columns
  float* maximum;  // [kQueryRows]
  float* sum;      // [kQueryRows]
  std::size_t o_stride;
  std::size_t floats;  // size of it all
};

static AttentionScratch carve(float* base, std::size_t head_dim) {
  AttentionScratch a = {};
  const auto take = [&](std::size_t count) {
    const std::size_t at = a.floats;
    a.floats += round_up(count, 16);
    return base == nullptr ? nullptr : base + at;
  };
  a.o_stride = round_up(head_dim, kTileColumns);
  a.q = take(round_up(head_dim, kBlockK) / kBlockK * kQueryRows * kAStride);
  a.s = take(kQueryRows * kAStride);
  a.o = take(kQueryRows * a.o_stride);
  a.k = take(kKeyColumns * head_dim);
  a.v = take(kKeyColumns * a.o_stride);
  a.rows = take(kTransposeBlock * round_up(head_dim, 16));
  a.mask = take(kKeyColumns);
  a.maximum = take(kQueryRows);
  a.sum = take(kQueryRows);
  return a;
}

static std::size_t attention_scratch_bytes(std::size_t head_dim) {
  return carve(nullptr, head_dim).floats * sizeof(float);
}

// The query rows of one pass: row h * tokens + t.
struct QueryBlock {
  std::size_t head = 0, heads = 0;
  std::size_t token = 0, tokens = 0;
  bool sees_nothing = false;  // every column is masked out for its tokens: all of them are live
  std::size_t rows() const { return heads * tokens; }
};

// The columns of one pass: those of a segment that are not masked out for every token of the block,
// or all of them if the block sees nothing.
struct LiveColumns {
  const KvSegment* segment = nullptr;
  std::size_t mask_column = 0;  // column of the mask that belongs to the segment's row 0
  std::size_t count = 0;
  std::uint32_t index[kKeyColumns];  // rows of the segment, rising
  bool adjacent() const { return count != 0 && index[count - 1] - index[0] + 1 == count; }
};

QHX_INLINE V load_any(FloatType type, const void* base, std::size_t at) {
  return type == FloatType::kF32 ? load(static_cast<const float*>(base) + at)
                                 : load_f16(static_cast<const std::uint16_t*>(base) + at);
}
QHX_INLINE V load_any_n(FloatType type, const void* base, std::size_t at, std::size_t n) {
  return type == FloatType::kF32 ? load_n(static_cast<const float*>(base) + at, n)
                                 : load_f16_n(static_cast<const std::uint16_t*>(base) + at, n);
}

QHX_INLINE V load_any(KvType type, const void* base, std::size_t at) {
  if (type == KvType::kI8) return load_i8(static_cast<const std::int8_t*>(base) + at);
  return load_any(type == KvType::kF32 ? FloatType::kF32 : FloatType::kF16, base, at);
}
QHX_INLINE V load_any_n(KvType type, const void* base, std::size_t at, std::size_t n) {
  if (type == KvType::kI8) return load_i8_n(static_cast<const std::int8_t*>(base) + at, n);
  return load_any_n(type == KvType::kF32 ? FloatType::kF32 : FloatType::kF16, base, at, n);
}

// n elements of any type to floats. Writes whole vectors: `to` has room for n rounded up to 16.
template <class Type>
static void copy_floats(Type type, const void* base, std::size_t at, float* to, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load_any(type, base, at + i));
  if (i < n) store(to + i, load_any_n(type, base, at + i, n - i));
}

// Fills columns.index with the live ones of the segment's rows [begin, begin + count).
static void find_live(const AttentionArgs& args, const QueryBlock& block, std::size_t begin,
                      std::size_t count, float* best, LiveColumns& columns) {
  columns.count = 0;
  if (args.mask == nullptr || block.sees_nothing) {
    for (std::size_t j = 0; j < count; ++j)
      columns.index[j] = static_cast<std::uint32_t>(begin + j);
    columns.count = count;
    return;
  }
  const std::size_t first = block.token * args.mask_stride + columns.mask_column + begin;
  for (std::size_t j = 0; j < count; j += kLanes) {
    const std::size_t left = count - j;
    V high = set1(kMinusInfinity);
    for (std::size_t t = 0; t < block.tokens; ++t) {
      const std::size_t at = first + t * args.mask_stride + j;
      high = max(high, left >= kLanes ? load_any(args.mask_type, args.mask, at)
                                      : load_any_n(args.mask_type, args.mask, at, left));
    }
    store(best + j, high);
  }
  for (std::size_t j = 0; j < count; ++j) {
    if (!(best[j] > kMaskedOut)) continue;
    columns.index[columns.count++] = static_cast<std::uint32_t>(begin + j);
  }
}

// The mask of one token at the live columns; whole vectors are written.
static void gather_mask(const AttentionArgs& args, std::size_t token, const LiveColumns& columns,
                        float* mask) {
  const std::size_t row = token * args.mask_stride + columns.mask_column;
  if (columns.adjacent()) {
    return copy_floats(args.mask_type, args.mask, row + columns.index[0], mask, columns.count);
  }
  float one[kPanelWidth];
  for (std::size_t j = 0; j < columns.count; ++j) {
    copy_floats(args.mask_type, args.mask, row + columns.index[j], one, 1);
    mask[j] = one[0];
  }
}

// ---- Products over packed tiles ----

// Whole vectors: the row has room for n rounded up to them.
static void scale_row(float* row, std::size_t n, float scale) {
  for (std::size_t d = 0; d < n; d += kLanes) store(row + d, mul(load(row + d), set1(scale)));
}

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
    if (in_tile == kTileColumns) continue;
    for (std::size_t d = 0; d < head_dim; ++d) {
      for (std::size_t j = in_tile; j < kTileColumns; ++j) to[d * kTileColumns + j] = 0.0f;
    }
  }
}

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
}

static void scores_packed(std::size_t head_dim, std::size_t rows, const LiveColumns& columns,
                          const AttentionScratch& a) {
  pack_keys(columns, head_dim, a);
  for (std::size_t j = 0; j < columns.count; j += kTileColumns) {
    std::size_t d = 0;
    do {
      const std::size_t dn = least(kBlockK, head_dim - d);
      column_tile(kTilePanels, rows, dn, a.q + d / kBlockK * kQueryRows * kAStride,
                  a.k + j * head_dim + d * kTileColumns, a.s + j, kAStride, d != 0);
      d += kBlockK;
    } while (d < head_dim);
  }
}

static void values_packed(std::size_t head_dim, std::size_t rows, const LiveColumns& columns,
                          const AttentionScratch& a) {
  pack_values(columns, head_dim, a);
  for (std::size_t d = 0; d < a.o_stride; d += kTileColumns) {
    column_tile(kTilePanels, rows, columns.count, a.s, a.v + d * kKeyColumns, a.o + d, a.o_stride,
                true);
  }
}

// ---- Products straight from the cache ----

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

// ---- Online softmax ----

// Scores s[0, count) to scale * s + mask, -infinity where masked out; pads with -infinity to whole
// vectors of the target. Returns the largest.
static float mask_scores(float* s, std::size_t count, float scale, const float* mask) {
  for (std::size_t j = count; j < round_up(count, kLanes); ++j) s[j] = kMinusInfinity;
  const V low = set1(kMinusInfinity);
  V high = low;
  for (std::size_t j = 0; j < count; j += kLanes) {
    V x = mul(load(s + j), set1(scale));
    if (mask != nullptr) {
      const V m = load(mask + j);
      x = select_less(set1(kMaskedOut), m, add(x, m), low);
    }
    store(s + j, x);
    high = max(high, x);
  }
  return reduce_max(high);
}

// The same for a row whose every column is masked out: scale * (s + mask), so that the mask
// swallows the scores as it does in an addition before a Softmax. -infinity counts as the lowest
// number.
static float swallow_scores(float* s, std::size_t count, float scale, const float* mask) {
  for (std::size_t j = 0; j < count; j += kLanes) {
    const V x = mul(add(load(s + j), load(mask + j)), set1(scale));
    store(s + j, max(set1(kLowestFloat), x));
  }
  for (std::size_t j = count; j < round_up(count, kLanes); ++j) s[j] = kMinusInfinity;
  V high = set1(kMinusInfinity);
  for (std::size_t j = 0; j < count; j += kLanes) high = max(high, load(s + j));
  return reduce_max(high);
}

// Scores to weights e^(s - maximum). Returns their sum.
static float weigh(float* s, std::size_t count, float maximum) {
  V sum = zero();
  for (std::size_t j = 0; j < count; j += kLanes) {
    const V w = exp_weight(sub(load(s + j), set1(maximum)));
    store(s + j, w);
    sum = add(sum, w);
  }
  return reduce_add(sum);
}

QHX_INLINE float exp_weight_of(float x) {
  float out[kLanes];
  store(out, exp_weight(set1(x)));
  return out[0];
}

static void update_row(const AttentionArgs& args, const QueryBlock& block, std::size_t row,
                       std::size_t count, const AttentionScratch& a) {
  float* const s = a.s + row * kAStride;
  const float* const mask = args.mask == nullptr ? nullptr : a.mask;
  const float high = block.sees_nothing ? swallow_scores(s, count, args.scale, mask)
                                        : mask_scores(s, count, args.scale, mask);
  if (high == kMinusInfinity) {
    for (std::size_t j = 0; j < count; ++j) s[j] = 0.0f;
    return;
  }
  const float before = a.maximum[row];
  if (high > before) {
    const float correction = before == kMinusInfinity ? 0.0f : exp_weight_of(before - high);
    a.maximum[row] = high;
    a.sum[row] *= correction;
    float* const o = a.o + row * a.o_stride;
    for (std::size_t d = 0; d < a.o_stride; d += kLanes) {
      store(o + d, mul(load(o + d), set1(correction)));
    }
  }
  a.sum[row] += weigh(s, count, a.maximum[row]);
}

// ---- The whole ----

static void attend_columns(const AttentionArgs& args, const QueryBlock& block,
                           const LiveColumns& columns, const AttentionScratch& a) {
  const std::size_t rows = block.rows();
  const bool direct = rows <= kDirectRows;
  if (direct) {
    products_direct<kDirectRows>(false, rows, args.head_dim, columns, a);
  } else {
    scores_packed(args.head_dim, rows, columns, a);
  }
  for (std::size_t t = 0; t < block.tokens; ++t) {
    if (args.mask != nullptr) gather_mask(args, block.token + t, columns, a.mask);
    for (std::size_t h = 0; h < block.heads; ++h) {
      update_row(args, block, h * block.tokens + t, columns.count, a);
    }
  }
  if (direct) {
    products_direct<kDirectRows>(true, rows, args.head_dim, columns, a);
  } else {
    values_packed(args.head_dim, rows, columns, a);
  }
}

static void begin_rows(const AttentionArgs& args, const QueryBlock& block,
                       const AttentionScratch& a) {
  for (std::size_t h = 0; h < block.heads; ++h) {
    for (std::size_t t = 0; t < block.tokens; ++t) {
      const std::size_t row = h * block.tokens + t;
      const float* const q =
          args.q + (block.head + h) * args.q_head_stride + (block.token + t) * args.q_stride;
      for (std::size_t d = 0; d < args.head_dim; d += kBlockK) {
        // Whole vectors, zero past the end: the direct products read them.
        copy_floats(FloatType::kF32, q, d, a.q + (d / kBlockK * kQueryRows + row) * kAStride,
                    least(kBlockK, args.head_dim - d));
      }
      for (std::size_t d = 0; d < a.o_stride; ++d) a.o[row * a.o_stride + d] = 0.0f;
      a.maximum[row] = kMinusInfinity;
      a.sum[row] = 0.0f;
    }
  }
}

static void finish_rows(const AttentionArgs& args, const QueryBlock& block,
                        const AttentionScratch& a) {
  for (std::size_t h = 0; h < block.heads; ++h) {
    for (std::size_t t = 0; t < block.tokens; ++t) {
      const std::size_t row = h * block.tokens + t;
      const V factor = set1(a.sum[row] > 0.0f ? 1.0f / a.sum[row] : 0.0f);
      float* const out =
          args.out + (block.head + h) * args.out_head_stride + (block.token + t) * args.out_stride;
      for (std::size_t d = 0; d < args.head_dim; d += kLanes) {
        const V v = mul(load(a.o + row * a.o_stride + d), factor);
        if (d + kLanes <= args.head_dim) {
          store(out + d, v);
        } else {
          store_n(out + d, v, args.head_dim - d);
        }
      }
    }
  }
}

// Puts the tokens of the block that saw no column into `tokens`; returns how many.
static std::size_t find_blind(const QueryBlock& block, const AttentionScratch& a,
                              std::uint16_t* tokens) {
  std::size_t count = 0;
  for (std::size_t t = 0; t < block.tokens; ++t) {
    bool blind = true;
    for (std::size_t h = 0; h < block.heads; ++h) blind &= a.sum[h * block.tokens + t] == 0.0f;
    if (blind) tokens[count++] = static_cast<std::uint16_t>(t);
  }
  return count;
}

static void attend_block(const AttentionArgs& args, const QueryBlock& block,
                         const AttentionScratch& a) {
  begin_rows(args, block, a);
  LiveColumns columns;
  for (const KvSegment& segment : args.kv) {
    columns.segment = &segment;
    for (std::size_t begin = 0; begin < segment.length; begin += kKeyColumns) {
      find_live(args, block, begin, least(kKeyColumns, segment.length - begin), a.mask, columns);
      if (columns.count != 0) attend_columns(args, block, columns, a);
    }
    columns.mask_column += segment.length;
  }
  finish_rows(args, block, a);
  if (args.mask == nullptr || block.sees_nothing) return;
  // Tokens that saw no column are rare (a caller's padding), so each of them is done again alone.
  std::uint16_t blind[kQueryRows];
  const std::size_t blind_count = find_blind(block, a, blind);
  for (std::size_t i = 0; i < blind_count; ++i) {
    attend_block(args,
                 {.head = block.head,
                  .heads = block.heads,
                  .token = block.token + blind[i],
                  .tokens = 1,
                  .sees_nothing = true},
                 a);
  }
}

static void attention(const AttentionArgs& args, void* scratch) {
  const AttentionScratch a = carve(static_cast<float*>(scratch), args.head_dim);
  // Under a mask, fewer rows at a time: more columns are then hidden from all of them and skipped.
  const std::size_t rows_at_once = args.mask == nullptr ? kQueryRows : kQueryRows / 2;
  const std::size_t heads_at_once = least(args.heads, rows_at_once);
  if (heads_at_once == 0) return;
  const std::size_t tokens_at_once = rows_at_once / heads_at_once;
  QueryBlock block;
  for (block.head = 0; block.head < args.heads; block.head += heads_at_once) {
    block.heads = least(heads_at_once, args.heads - block.head);
    for (block.token = 0; block.token < args.tokens; block.token += tokens_at_once) {
      block.tokens = least(tokens_at_once, args.tokens - block.token);
      attend_block(args, block, a);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
