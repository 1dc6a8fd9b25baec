// The table of a target, once all bodies are included.
#pragma once

#include "kernels/attention-inl.h"
#include "kernels/elementwise-inl.h"
#include "kernels/integer-inl.h"
#include "kernels/linear-inl.h"
#include "kernels/matmul-inl.h"
#include "kernels/quantize_row-inl.h"
#include "kernels/rows-inl.h"

namespace qhx::cpu::QHX_TARGET {

extern const KernelTable kTable;
constexpr KernelTable kTable = {
    .name = QHX_TARGET_NAME,
    .gemm_scratch_bytes = kGemmScratchFloats * sizeof(float),
    .integer_scratch_bytes = integer_scratch_bytes,
    .attention_scratch_bytes = attention_scratch_bytes,
    .linear = linear,
    .quantize = quantize,
    .linear_integer = linear_integer,
    .piece_bits = kPieceBits,
    .whole_int16 = kWholeInt16,
    .integer_rows_i8 = kMostIntegerRows,
    .integer_rows_i4 = kMostIntegerRows4,
    .matmul = matmul,
    .attention = attention,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .softmax = softmax,
    .rope = rope,
    .unary = unary,
    .binary = binary,
    .silu_mul = silu_mul,
    .f16_to_f32 = widen_f16,
    .f32_to_f16 = narrow_f32,
    .quantize_row = quantize_row,
    .transpose = transpose,
    .argmax = argmax,
};

}  // namespace qhx::cpu::QHX_TARGET
