// Names of QNN operations, their parameters and parameter values, as graphs and libraries spell
// them.
#pragma once

#include "qnn/abi/op_numbers.h"

namespace qhx::qnn {

inline constexpr const char* kOpPackage = "qti.aisw";

namespace op {
// Linears. Weights may be f16, f32 or quantized (see docs/cpu_backend.md for the accepted
// encodings).
inline constexpr const char* kMatMul = "MatMul";  // params transpose_in0, transpose_in1 (bool)
inline constexpr const char* kFullyConnected =
    "FullyConnected";  // weight [N, K], optional bias [N]; output rank 2
inline constexpr const char* kConv2d =
    "Conv2d";  // NHWC; weight [kh, kw, K, N], optional bias [N]; stride, pad_amount
// Normalisation and activation.
inline constexpr const char* kLayerNorm =
    "LayerNorm";  // inputs x, gamma, beta; epsilon (f32), axes (u32 tensor)
inline constexpr const char* kRmsNorm =
    "RmsNorm";  // inputs x, gamma; epsilon (f32), axes (u32 tensor)
inline constexpr const char* kSoftmax = "Softmax";  // axis (u32), beta (f32): softmax(beta * x)
inline constexpr const char* kGelu = "Gelu";        // 0.5 x (1 + erf(x / sqrt 2))
inline constexpr const char* kNeuron = "ElementWiseNeuron";  // operation (u32), see Neuron
inline constexpr const char* kBinary =
    "ElementWiseBinary";  // operation (u32), see Binary; NumPy broadcasting
inline constexpr const char* kUnary = "ElementWiseUnary";  // operation (u32), see Unary
inline constexpr const char* kRotaryEmbedding =
    "RotaryEmbedding";  // x [1, heads, M, D], cos, sin [1, M, D/2]; interleaved (bool)
// Data movement.
inline constexpr const char* kReshape = "Reshape";
inline constexpr const char* kTranspose = "Transpose";  // perm (u32 tensor)
inline constexpr const char* kConcat = "Concat";        // axis (u32)
inline constexpr const char* kSplit =
    "Split";  // axis (u32), split_index (u32 tensor: starts of pieces 1 …)
inline constexpr const char* kStridedSlice =
    "StridedSlice";                           // ranges (i32 tensor [rank, 3]: begin, end, stride)
inline constexpr const char* kTile = "Tile";  // multiples (u32 tensor)
inline constexpr const char* kExpandDims = "ExpandDims";  // axes (u32 tensor)
inline constexpr const char* kGather = "Gather";          // inputs table, indices (i32); axis (i32)
inline constexpr const char* kCast = "Cast";
inline constexpr const char* kQuantize = "Quantize";      // floats to what the output's encoding says
inline constexpr const char* kDequantize = "Dequantize";  // back
inline constexpr const char* kReduceMean = "ReduceMean";  // axes (u32 tensor), keep_dims (bool)
inline constexpr const char* kReduceSum = "ReduceSum";
inline constexpr const char* kReduceMax = "ReduceMax";
}  // namespace op

}  // namespace qhx::qnn
