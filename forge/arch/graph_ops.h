// The operations that model graphs are written in: a GraphBuilder with the shapes worked out.
//
// Every function adds one QNN operation and returns its output, an intermediate tensor of the
// graph's activation type. Errors stick to the builder. Shapes that do not fit together are defects
// of ours: the library refuses them, and the builder reports it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "forge/arch/weights.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// Rows as integers of -127 … 127, still in the activation type, times a scale for each row.
struct QuantizedRows {
  qnn::Value integers;  // [.., D]
  qnn::Value scales;    // [.., 1]
};

// y = a linear of inputs x [1, 1, M, K], weight [1, 1, K, N] and perhaps bias [N], as a 1x1
// convolution: the form HTP runs fastest.
void add_linear(qnn::GraphBuilder& graph, std::span<const qnn::Value> inputs, const qnn::Value& y);

class GraphOps {
 public:
  // `activation` is FLOAT_16 or FLOAT_32. The builder must outlive this object.
  GraphOps(qnn::GraphBuilder& graph, Qnn_DataType_t activation)
      : graph_(graph), activation_(activation) {}

  Qnn_DataType_t activation() const { return activation_; }

  qnn::Value input(std::string name, qnn::Dims dims);
  qnn::Value output(std::string name, qnn::Dims dims);
  qnn::Value constant(const VectorWeight& weight);

  qnn::Value reshape(const qnn::Value& x, qnn::Dims dims);
  // Reshapes x into `to`, a tensor that exists (an output).
  void reshape_into(const qnn::Value& x, const qnn::Value& to);
  // Reshapes and, where the types differ, converts x into `to`.
  void store_into(const qnn::Value& x, const qnn::Value& to);
  qnn::Value transpose(const qnn::Value& x, const qnn::Dims& perm);
  qnn::Value concat(const qnn::Value& a, const qnn::Value& b, std::uint32_t axis);
  // `parts` one after another; a single one is the result itself.
  qnn::Value concat(std::span<const qnn::Value> parts, std::uint32_t axis);
  // x cut along `axis` into pieces of `size`, the last one with what is left; x itself if there is
  // one.
  std::vector<qnn::Value> split(const qnn::Value& x, std::uint32_t axis, std::uint32_t size);
  // x repeated `times` along `axis`.
  qnn::Value tile(const qnn::Value& x, std::uint32_t axis, std::uint32_t times);
  // x * 2^exponent; x itself for exponent 0. `name` is for the factor, unique in the graph.
  qnn::Value times_power_of_two(const qnn::Value& x, int exponent, std::string name);
  // x itself if it has the activation type already.
  qnn::Value to_activation(const qnn::Value& x);

  // x [1, 1, M, K] -> [1, 1, M, N].
  qnn::Value linear(const qnn::Value& x, const Linear& linear);
  // Over the last axis.
  qnn::Value rms_norm(const qnn::Value& x, const VectorWeight& gamma, float epsilon);
  qnn::Value rms_norm(const qnn::Value& x, const qnn::Value& gamma, float epsilon);
  qnn::Value layer_norm(const qnn::Value& x, const Norm& norm, float epsilon);
  qnn::Value layer_norm(const qnn::Value& x, const qnn::Value& gamma, const qnn::Value& beta,
                        float epsilon);
  // x [1, heads, M, D]; cos and sin [1, M, D / 2]; the two halves of D form the pairs.
  qnn::Value rotary(const qnn::Value& x, const qnn::Value& cos, const qnn::Value& sin);
  // a [.., M, K] times b [.., K, N], or [.., N, K] if `transpose_b`.
  qnn::Value matmul(const qnn::Value& a, const qnn::Value& b, bool transpose_b);
  // Of the rows along the last axis. `name` is for the constants, unique in the graph.
  QuantizedRows quantize_rows(const qnn::Value& x, const std::string& name);
  // softmax(beta * x) over the last axis.
  qnn::Value softmax(const qnn::Value& x, float beta);
  qnn::Value add(const qnn::Value& a, const qnn::Value& b);
  qnn::Value multiply(const qnn::Value& a, const qnn::Value& b);
  qnn::Value negate(const qnn::Value& x);
  qnn::Value sigmoid(const qnn::Value& x);
  qnn::Value gelu_tanh(const qnn::Value& x);
  qnn::Value gelu_erf(const qnn::Value& x);

 private:
  qnn::Value native(qnn::Dims dims) { return graph_.native(activation_, std::move(dims)); }
  qnn::Value binary(const qnn::Value& a, const qnn::Value& b, qnn::Binary operation);
  qnn::Value neuron(const qnn::Value& x, qnn::Neuron operation);
  qnn::Value unary(const qnn::Value& x, qnn::Unary operation);
  // One number that broadcasts over `rank` axes.
  qnn::Value number(std::string name, float value, std::size_t rank);

  qnn::GraphBuilder& graph_;
  Qnn_DataType_t activation_;
};

}  // namespace qhx::forge
