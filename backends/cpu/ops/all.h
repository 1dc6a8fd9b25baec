// The families of ops, one file each.
#pragma once

#include <vector>

#include "ops/op.h"

namespace qhx::cpu {

std::vector<OpDefinition> linear_ops();     // Conv2d (1x1), FullyConnected, qhx.Linear
std::vector<OpDefinition> matmul_ops();     // MatMul
std::vector<OpDefinition> attention_ops();  // qhx.Attention, qhx.ScaleMask
std::vector<OpDefinition> norm_ops();       // RmsNorm, LayerNorm
std::vector<OpDefinition> softmax_ops();    // Softmax
std::vector<OpDefinition> unary_ops();      // Gelu, ElementWiseNeuron, ElementWiseUnary, qhx.Silu
std::vector<OpDefinition> binary_ops();     // ElementWiseBinary, qhx.SiluMul
std::vector<OpDefinition> rope_ops();       // RotaryEmbedding, qhx.HeadRope
std::vector<OpDefinition> reshape_ops();    // Reshape, ExpandDims
std::vector<OpDefinition> transpose_ops();  // Transpose
std::vector<OpDefinition> concat_ops();     // Concat
std::vector<OpDefinition> slice_ops();      // Split, StridedSlice
std::vector<OpDefinition> tile_ops();       // Tile
std::vector<OpDefinition> gather_ops();     // Gather
std::vector<OpDefinition> cast_ops();       // Cast
std::vector<OpDefinition> quantize_ops();   // qhx.QuantizeRows
std::vector<OpDefinition> reduce_ops();     // ReduceMean, ReduceSum, ReduceMax

}  // namespace qhx::cpu
