// What every simd/<isa>.h header shares. Each of them defines, inside namespace
// qhx::cpu::QHX_TARGET:
//
//   V                    a vector of kLanes floats (16 is a multiple of kLanes)
//   kTileRows, kTilePanels   size of the register tile of matrix products: rows, panels of 16
//   columns zero, set1, load, store, load_n, store_n (the first n < kLanes elements; others 0 /
//   untouched) add, sub, mul, div, fma (a * b + c), max, min (b if either is NaN), sqrt, abs, neg
//   select_less(a, b, x, y)   a < b ? x : y, by element
//   round                to the nearest integer, ties to even
//   scale_pow2(x, n)     x * 2^n, n integral in [-151, 128]; overflows to infinity, underflows
//   gradually reduce_add, reduce_max load_f16, store_f16, load_f16_n, store_f16_n   the same from
//   and to halves load_i8, load_i8_n   from bytes load_i8_quads, load_i4_octets   64 bytes of a
//   panel as floats, by k and channel transpose_block      kTransposeBlock x kTransposeBlock floats
//   I, dot and others for integers: see integer-inl.h
//
// A target's file (targets/<isa>.cpp) defines QHX_TARGET and QHX_TARGET_NAME, includes its simd
// header and then the bodies (*-inl.h), which include one another; everything in them is compiled
// once for each target.
//
// All of these have internal linkage, so that nothing compiled here for a newer instruction set can
// be what the linker keeps for other files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

#define QHX_INLINE static inline __attribute__((always_inline))
#ifndef QHX_UNROLL
// Fully unrolled, or arrays of accumulators would live in memory.
#define QHX_UNROLL _Pragma("GCC unroll 16")
#endif
