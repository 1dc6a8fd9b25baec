// One row of floats as int8 with a scale of its own: what a cache of keys and values holds.
#pragma once

namespace qhx::cpu::QHX_TARGET {

static void quantize_row(const float* x, std::size_t n, std::int8_t* values, float* scale) {
  constexpr float kTop = 127.0f;
  V high = zero();
  V probe = zero();  // NaN as soon as a value is not finite
  const auto look = [&](V v) __attribute__((always_inline)) {
    high = max(high, abs(v));
    probe = fma(v, zero(), probe);
  };
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) look(load(x + i));
  if (i < n) look(load_n(x + i, n - i));
  if (reduce_add(probe) != 0.0f) {
    __builtin_memset(values, 0, n);
    *scale = __builtin_nanf("");
    return;
  }
  const float largest = reduce_max(high);
  *scale = (largest > kLeastRow ? largest : kLeastRow) * (1.0f / kTop);
  // A division, as the operations that this stands for have it: a product with the inverse would
  // round some values to the other side.
  float rounded[kLanes];
  const auto put = [&](V v, std::size_t count) __attribute__((always_inline)) {
    store(rounded, round(div(v, set1(*scale))));
    for (std::size_t j = 0; j < count; ++j) {
      values[i + j] = static_cast<std::int8_t>(static_cast<std::int32_t>(rounded[j]));
    }
  };
  for (i = 0; i + kLanes <= n; i += kLanes) put(load(x + i), kLanes);
  if (i < n) put(load_n(x + i, n - i), n - i);
}

}  // namespace qhx::cpu::QHX_TARGET
