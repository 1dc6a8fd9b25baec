// Attention's online softmax: a row's running maximum and sum.
#pragma once

#include "kernels/attention_blocks-inl.h"
#include "kernels/math-inl.h"

namespace qhx::cpu::QHX_TARGET {

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

}  // namespace qhx::cpu::QHX_TARGET
