// What a pass of attention works on: a block of query rows, the columns that some of them may see,
// and the scratch for both.
#pragma once

#include "kernels/gemm-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kQueryRows = 192;
constexpr std::size_t kKeyColumns = 256;
constexpr std::size_t kDirectRows = 4;
constexpr float kMaskedOut = -30000.0f;
constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kLowestFloat = -__FLT_MAX__;
static_assert(kKeyColumns % (2 * kPanelWidth) == 0 && kBlockK % (2 * kPanelWidth) == 0);
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

}  // namespace qhx::cpu::QHX_TARGET
