// Operations on whole rows: norms, softmax, rotary embedding. Bound: memory; each row is in L1
// after its first pass.
#pragma once

#include "kernels/math-inl.h"

namespace qhx::cpu::QHX_TARGET {

// Sum of term(load(x)) over a row with four partial sums; lanes past the end of the row are zero in
// x.
template <class Term>
QHX_INLINE float sum_over(const float* x, std::size_t n, Term term) {
  constexpr std::size_t kSums = 4;
  V sum[kSums];
  QHX_UNROLL for (std::size_t s = 0; s < kSums; ++s) sum[s] = zero();
  std::size_t i = 0;
  for (; i + kSums * kLanes <= n; i += kSums * kLanes) {
    QHX_UNROLL for (std::size_t s = 0; s < kSums; ++s) {
      sum[s] = add(sum[s], term(load(x + i + s * kLanes)));
    }
  }
  float total = 0.0f;
  for (; i + kLanes <= n; i += kLanes) sum[0] = add(sum[0], term(load(x + i)));
  for (; i < n; ++i) {  // fewer than kLanes
    float one[kLanes] = {};
    one[0] = x[i];
    float out[kLanes];
    store(out, term(load(one)));
    total += out[0];
  }
  return total + reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

// y[i] = f(x[i], i) by vectors; f gets the index and the number of valid lanes to load its other
// operands with.
template <class F>
QHX_INLINE void for_row(const float* x, float* y, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i), i, kLanes));
  if (i < n) store_n(y + i, f(load_n(x + i, n - i), i, n - i), n - i);
}

QHX_INLINE V load_some(const float* p, std::size_t n) {
  return n == kLanes ? load(p) : load_n(p, n);
}

QHX_INLINE float inverse_rms(const float* x, std::size_t n, float eps) {
  const float squares = sum_over(x, n, [](V v) { return mul(v, v); });
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(n) + eps);
}

static void rms_norm(const RowsArgs& args, const float* gamma, float eps) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    const float* const x = args.x + r * args.x_stride;
    const V factor = set1(inverse_rms(x, args.width, eps));
    for_row(x, args.y + r * args.y_stride, args.width, [&](V v, std::size_t i, std::size_t n) {
      return mul(mul(v, factor), load_some(gamma + i, n));
    });
  }
}

static void layer_norm(const RowsArgs& args, const float* gamma, const float* beta, float eps) {
  const auto width = static_cast<float>(args.width);
  for (std::size_t r = 0; r < args.rows; ++r) {
    const float* const x = args.x + r * args.x_stride;
    const V mean = set1(sum_over(x, args.width, [](V v) { return v; }) / width);
    const float squares = sum_over(x, args.width, [&](V v) {
      const V d = sub(v, mean);
      return mul(d, d);
    });
    const V factor = set1(1.0f / __builtin_sqrtf(squares / width + eps));
    for_row(x, args.y + r * args.y_stride, args.width, [&](V v, std::size_t i, std::size_t n) {
      v = mul(sub(v, mean), factor);
      if (gamma != nullptr) v = mul(v, load_some(gamma + i, n));
      return beta == nullptr ? v : add(v, load_some(beta + i, n));
    });
  }
}

static float largest(const float* x, std::size_t n) {
  V high = set1(-__builtin_inff());
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) high = max(load(x + i), high);
  float best = reduce_max(high);
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

static void softmax(const RowsArgs& args, float beta) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    const float* const x = args.x + r * args.x_stride;
    float* const y = args.y + r * args.y_stride;
    // beta may be negative: scale first, then look for the largest.
    // -infinity everywhere becomes an even spread instead of NaN.
    for_row(x, y, args.width, [&](V v, std::size_t, std::size_t) {
      return max(set1(-__FLT_MAX__), mul(v, set1(beta)));
    });
    const V high = set1(largest(y, args.width));
    for_row(y, y, args.width,
            [&](V v, std::size_t, std::size_t) { return exp_weight(sub(v, high)); });
    const V factor = set1(1.0f / sum_over(y, args.width, [](V v) { return v; }));
    for_row(y, y, args.width, [&](V v, std::size_t, std::size_t) { return mul(v, factor); });
  }
}

// x may be y: each pair is read before it is written.
static void rotate_half(const float* x, float* y, std::size_t half, const float* cos,
                        const float* sin) {
  std::size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const V a = load(x + i), b = load(x + half + i), c = load(cos + i), s = load(sin + i);
    store(y + i, sub(mul(a, c), mul(b, s)));
    store(y + half + i, fma(b, c, mul(a, s)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    y[i] = a * cos[i] - b * sin[i];
    y[half + i] = b * cos[i] + a * sin[i];
  }
}

static void rotate_pairs(const float* x, float* y, std::size_t half, const float* cos,
                         const float* sin) {
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cos[i] - b * sin[i];
    y[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

static void rope(const RopeArgs& args) {
  const RowsArgs& rows = args.rows;
  for (std::size_t r = 0; r < rows.rows; ++r) {
    const float* x = rows.x + r * rows.x_stride;
    float* const y = rows.y + r * rows.y_stride;
    if (args.gamma != nullptr) {
      const V factor = set1(inverse_rms(x, rows.width, args.eps));
      for_row(x, y, rows.width, [&](V v, std::size_t i, std::size_t n) {
        return mul(mul(v, factor), load_some(args.gamma + i, n));
      });
      x = y;
    }
    const float* const cos = args.cos + r * args.angle_stride;
    const float* const sin = args.sin + r * args.angle_stride;
    (args.interleaved ? rotate_pairs : rotate_half)(x, y, rows.width / 2, cos, sin);
  }
}

}  // namespace qhx::cpu::QHX_TARGET
