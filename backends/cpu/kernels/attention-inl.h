// Attention with an online softmax: scores are never stored beyond one block of columns.
//
// For each block of up to kQueryRows query rows and each run of up to kKeyColumns columns, the
// columns that some row may see are collected; then S = q K^T, the softmax's running maximum and
// sum are brought up to date, and O = O * correction + weights V. The products go over packed tiles
// or, for few rows, straight over the cache.
#pragma once

#include "kernels/attention_direct-inl.h"
#include "kernels/attention_packed-inl.h"
#include "kernels/attention_softmax-inl.h"

namespace qhx::cpu::QHX_TARGET {

template <class Scores, class Values>
static void attend_columns(const AttentionArgs& args, const QueryBlock& block,
                           const LiveColumns& columns, const AttentionScratch& a) {
  const std::size_t rows = block.rows();
  const bool direct = rows <= kDirectRows;
  if (direct) {
    products_direct<kDirectRows>(false, rows, args.head_dim, columns, a);
  } else {
    scores_packed<Scores>(args.head_dim, rows, columns, a);
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
    for (std::size_t r = 0; r < rows; ++r) pair_row<Values>(a.s + r * kAStride, columns.count);
    values_packed<Values>(args.head_dim, rows, columns, a);
  }
}

template <class Scores>
static void begin_rows(const AttentionArgs& args, const QueryBlock& block,
                       const AttentionScratch& a) {
  for (std::size_t h = 0; h < block.heads; ++h) {
    for (std::size_t t = 0; t < block.tokens; ++t) {
      const std::size_t row = h * block.tokens + t;
      const float* const q =
          args.q + (block.head + h) * args.q_head_stride + (block.token + t) * args.q_stride;
      for (std::size_t d = 0; d < args.head_dim; d += kBlockK) {
        // Whole vectors, zero past the end: the direct products read them.
        float* const to = a.q + (d / kBlockK * kQueryRows + row) * kAStride;
        const std::size_t count = least(kBlockK, args.head_dim - d);
        copy_floats(FloatType::kF32, q, d, to, count);
        if (block.rows() > kDirectRows) pair_row<Scores>(to, count);
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

template <class Scores, class Values>
static void attend_block(const AttentionArgs& args, const QueryBlock& block,
                         const AttentionScratch& a) {
  begin_rows<Scores>(args, block, a);
  LiveColumns columns;
  for (const KvSegment& segment : args.kv) {
    columns.segment = &segment;
    for (std::size_t begin = 0; begin < segment.length; begin += kKeyColumns) {
      find_live(args, block, begin, least(kKeyColumns, segment.length - begin), a.mask, columns);
      if (columns.count != 0) attend_columns<Scores, Values>(args, block, columns, a);
    }
    columns.mask_column += segment.length;
  }
  finish_rows(args, block, a);
  if (args.mask == nullptr || block.sees_nothing) return;
  // Tokens that saw no column are rare (a caller's padding), so each of them is done again alone.
  std::uint16_t blind[kQueryRows];
  const std::size_t blind_count = find_blind(block, a, blind);
  for (std::size_t i = 0; i < blind_count; ++i) {
    attend_block<Scores, Values>(args,
                                 {.head = block.head,
                                  .heads = block.heads,
                                  .token = block.token + blind[i],
                                  .tokens = 1,
                                  .sees_nothing = true},
                                 a);
  }
}

template <class Scores, class Values>
static void attention_of(const AttentionArgs& args, void* scratch) {
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
      attend_block<Scores, Values>(args, block, a);
    }
  }
}

static void attention(const AttentionArgs& args, void* scratch) {
  switch (args.rounding) {
    case Rounding::kNone:
      return attention_of<Floats, Floats>(args, scratch);
    case Rounding::kValues:
      return attention_of<Floats, Narrow>(args, scratch);
    case Rounding::kAll:
      return attention_of<Narrow, Narrow>(args, scratch);
  }
}

}  // namespace qhx::cpu::QHX_TARGET
