// Operations on activations of 16-bit integers, for libraries of the HTP: between a conversion from
// 16-bit floats and one back. A GraphBuilder with the encodings worked out.
#pragma once

#include "forge/arch/weights.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// An activation whose integer q is the number scale * (q + offset).
struct IntegerValue {
  qnn::Value value;
  float scale = 1;
};

// Whether a graph may multiply `rows` rows of integers by this weight: int8 with a scale for each
// output, on HTP. Libraries whose activations are 32-bit floats (ours) have integers of their own
// choice. 16 rows the HTP library 2.51 computes wrongly, without a word, where 2, 4, 8, 12, 15, 17,
// 32 and more are right.
bool takes_integers(Qnn_DataType_t activation, std::uint32_t rows, const Linear& linear);

class IntegerOps {
 public:
  // The builder must outlive this object.
  explicit IntegerOps(qnn::GraphBuilder& graph) : graph_(graph) {}

  // `reach`: what the magnitudes of results must not exceed, or they are cut off there.
  IntegerValue quantize(const qnn::Value& x, float reach);
  qnn::Value dequantize(const IntegerValue& x);  // to 16-bit floats
  // x [1, 1, M, K] -> [1, 1, M, N].
  IntegerValue linear(const IntegerValue& x, const Linear& linear, float reach);
  IntegerValue multiply(const IntegerValue& a, const IntegerValue& b, float reach);
  // x * sigmoid(x) and 0.5 x (1 + tanh(…)), x of magnitudes up to `reach`.
  IntegerValue silu(const IntegerValue& x, float reach);
  IntegerValue gelu_tanh(const IntegerValue& x, float reach);

 private:
  // Values from low <= 0 to high.
  IntegerValue native(qnn::Dims dims, float low, float high);
  IntegerValue neuron(const IntegerValue& x, qnn::Neuron operation, float low, float high);
  IntegerValue product(const IntegerValue& a, const IntegerValue& b, float low, float high);
  qnn::Value bias(const VectorWeight& bias, float scale, const LinearWeight& weight);

  qnn::GraphBuilder& graph_;
};

}  // namespace qhx::forge
