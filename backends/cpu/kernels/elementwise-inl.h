// Element by element: unary and binary operations, conversions, argmax. Bound: memory.
#pragma once

#include "kernels/rows-inl.h"

namespace qhx::cpu::QHX_TARGET {

template <class F>
QHX_INLINE void map(const float* x, float* y, std::size_t n, F f) {
  for_row(x, y, n, [&](V v, std::size_t, std::size_t) { return f(v); });
}

static void unary(UnaryOp op, const float* x, float* y, std::size_t n) {
  switch (op) {
    case UnaryOp::kExp:
      return map(x, y, n, [](V v) { return exp(v); });
    case UnaryOp::kSigmoid:
      return map(x, y, n, [](V v) { return sigmoid(v); });
    case UnaryOp::kTanh:
      return map(x, y, n, [](V v) { return tanh(v); });
    case UnaryOp::kSilu:
      return map(x, y, n, [](V v) { return silu(v); });
    case UnaryOp::kGeluTanh:
      return map(x, y, n, [](V v) { return gelu_tanh(v); });
    case UnaryOp::kGeluErf:
      return map(x, y, n, [](V v) { return gelu_erf(v); });
    case UnaryOp::kRelu:
      return map(x, y, n, [](V v) { return max(zero(), v); });
    case UnaryOp::kNeg:
      return map(x, y, n, [](V v) { return neg(v); });
    case UnaryOp::kAbs:
      return map(x, y, n, [](V v) { return abs(v); });
    case UnaryOp::kSqrt:
      return map(x, y, n, [](V v) { return sqrt(v); });
    case UnaryOp::kRsqrt:
      return map(x, y, n, [](V v) { return div(set1(1.0f), sqrt(v)); });
    case UnaryOp::kReciprocal:
      return map(x, y, n, [](V v) { return div(set1(1.0f), v); });
  }
}

template <class F>
QHX_INLINE void map2(const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                     float* y, std::size_t n, F f) {
  if (n == 0) return;
  const float first_a = a[0], first_b = b[0];  // y may overwrite them
  if (a_step != 0 && b_step != 0) {
    for_row(a, y, n, [&](V v, std::size_t i, std::size_t m) { return f(v, load_some(b + i, m)); });
  } else if (a_step != 0) {
    for_row(a, y, n, [&](V v, std::size_t, std::size_t) { return f(v, set1(first_b)); });
  } else if (b_step != 0) {
    for_row(b, y, n, [&](V v, std::size_t, std::size_t) { return f(set1(first_a), v); });
  } else {
    const V v = f(set1(first_a), set1(first_b));
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(y + i, v);
    if (i < n) store_n(y + i, v, n - i);
  }
}

static void binary(BinaryOp op, const float* a, std::size_t a_step, const float* b,
                   std::size_t b_step, float* y, std::size_t n) {
  const auto run = [&](auto f) { map2(a, a_step, b, b_step, y, n, f); };
  switch (op) {
    case BinaryOp::kAdd:
      return run([](V u, V v) { return add(u, v); });
    case BinaryOp::kSub:
      return run([](V u, V v) { return sub(u, v); });
    case BinaryOp::kMul:
      return run([](V u, V v) { return mul(u, v); });
    case BinaryOp::kDiv:
      return run([](V u, V v) { return div(u, v); });
    case BinaryOp::kMax:
      return run([](V u, V v) { return max(u, v); });
    case BinaryOp::kMin:
      return run([](V u, V v) { return min(u, v); });
  }
}

static void silu_mul(const float* gate, const float* up, float* y, std::size_t n) {
  for_row(gate, y, n,
          [&](V v, std::size_t i, std::size_t m) { return mul(silu(v), load_some(up + i, m)); });
}

static void widen_f16(const std::uint16_t* from, float* to, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load_f16(from + i));
  if (i < n) store_n(to + i, load_f16_n(from + i, n - i), n - i);
}

static void narrow_f32(const float* from, std::uint16_t* to, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_f16(to + i, load(from + i));
  if (i < n) store_f16_n(to + i, load_n(from + i, n - i), n - i);
}

// Two passes by vectors: the largest value, then the first chunk that holds it.
static std::size_t argmax(const float* x, std::size_t n) {
  constexpr std::size_t kChunk = 1024;
  const float best = largest(x, n);
  for (std::size_t begin = 0; begin < n; begin += kChunk) {
    const std::size_t count = n - begin < kChunk ? n - begin : kChunk;
    if (!(largest(x + begin, count) == best)) continue;
    for (std::size_t i = 0; i < count; ++i) {
      if (x[begin + i] == best) return begin + i;
    }
  }
  return 0;  // every element is NaN
}

}  // namespace qhx::cpu::QHX_TARGET
