// Activations in integers: groups of kIntegerGroup along K, each row's group with its own scale.
//
// An activation is one piece of kPieceBits bits (levels 1), or two, high and low, of twice as many
// (levels 2): twice the products, and an error of 2^-15 or less of the group's largest value. Where
// kWholeInt16 says so it is no two pieces but one of 16 bits: see integer_whole-inl.h.
#pragma once

#include "kernels/math-inl.h"

namespace qhx::cpu::QHX_TARGET {

constexpr float kPieceTop = static_cast<float>((1 << (kPieceBits - 1)) - 1);
constexpr float kLevel2Top = kWholeInt16 ? 32767.0f : kPieceTop * (1 << kPieceBits);
constexpr std::size_t kGroupVectors = kIntegerGroup / kLanes;

// One group of one row. W: how values of 16 bits are stored, where they are whole. `sums` has one
// value for each level.
template <class W>
static void quantize_group(const V (&x)[kGroupVectors], int levels, std::int8_t* to, float* scale,
                           std::int32_t* sums) {
  V high = zero();
  V probe = zero();  // NaN as soon as a value is not finite
  QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i) {
    high = max(high, abs(x[i]));
    probe = fma(x[i], zero(), probe);
  }
  const float largest = reduce_max(high);
  const bool finite = reduce_add(probe) == 0.0f;
  const float unit = levels == 1 ? kPieceTop : kLevel2Top;
  const float inverse = unit / largest;
  // Beyond both ends of what floats hold there is no scale; zeros times NaN or 0 is what is left.
  if (!finite || !(largest > 0.0f) || !(inverse <= __FLT_MAX__)) {
    *scale = finite ? 0.0f : __builtin_nanf("");
    __builtin_memset(to, 0, static_cast<std::size_t>(levels) * kIntegerGroup);
    for (int level = 0; level < levels; ++level) sums[level] = 0;
    return;
  }
  *scale = largest / unit;
  I values[kGroupVectors];
  I all = broadcast(0);
  QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i) {
    values[i] = to_ints(mul(x[i], set1(inverse)));
    all = add(all, values[i]);
  }
  sums[0] = reduce_add(all);
  if (levels == 1) {
    QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i)
        store_bytes(to + i * kLanes, values[i]);
  } else if constexpr (kWholeInt16) {
    QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i)
        W::store(to + 2 * i * kLanes, values[i]);
  } else {
    I tops = broadcast(0);
    QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i) {
      const I top = shift_right<kPieceBits>(add(values[i], broadcast(1 << (kPieceBits - 1))));
      store_bytes(to + i * kLanes, top);
      store_bytes(to + kIntegerGroup + i * kLanes, sub(values[i], shift_left<kPieceBits>(top)));
      tops = add(tops, top);
    }
    sums[1] = reduce_add(tops);
  }
}

static void quantize(const float* x, std::size_t x_stride, std::size_t row_begin,
                     std::size_t row_end, const IntegerRows& to) {
  const auto levels = static_cast<std::size_t>(to.levels);
  for (std::size_t row = row_begin; row < row_end; ++row) {
    for (std::size_t g = 0; g < to.groups; ++g) {
      const float* const from = x + row * x_stride + g * kIntegerGroup;
      V group[kGroupVectors];
      if (g * kIntegerGroup + kIntegerGroup <= to.k) {
        QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i) group[i] =
            load(from + i * kLanes);
      } else {  // past the end zeros
        float rest[kIntegerGroup] = {};
        __builtin_memcpy(rest, from, (to.k - g * kIntegerGroup) * sizeof(float));
        QHX_UNROLL for (std::size_t i = 0; i < kGroupVectors; ++i) group[i] =
            load(rest + i * kLanes);
      }
      const std::size_t at = row * to.groups + g;
      quantize_group<Whole>(group, to.levels, to.values + at * levels * kIntegerGroup,
                            to.scales + at, to.sums + at * levels);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
