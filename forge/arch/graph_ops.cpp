#include "forge/arch/graph_ops.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace qhx::forge {

using qnn::Dims;
using qnn::Param;
using qnn::Value;
namespace op = qnn::op;

namespace {

Param last_axis(const Dims& dims) {
  return qnn::u32_list("axes", {static_cast<std::uint32_t>(dims.size() - 1)});
}

}  // namespace

void add_linear(qnn::GraphBuilder& graph, std::span<const Value> inputs, const Value& y) {
  graph.add(op::kConv2d, inputs, std::span(&y, 1),
            {qnn::u32_list("stride", {1, 1}),
             {"pad_amount", qnn::TensorParam{QNN_DATATYPE_UINT_32, {2, 2}, {0, 0, 0, 0}}}});
}

Value GraphOps::input(std::string name, Dims dims) {
  return graph_.input(std::move(name), activation_, std::move(dims));
}

Value GraphOps::output(std::string name, Dims dims) {
  return graph_.output(std::move(name), activation_, std::move(dims));
}

Value GraphOps::constant(const VectorWeight& weight) {
  return graph_.constant(weight.name, weight.type, weight.dims, weight.bytes);
}

Value GraphOps::reshape(const Value& x, Dims dims) {
  const Value y = graph_.native(x.type, std::move(dims));
  reshape_into(x, y);
  return y;
}

void GraphOps::reshape_into(const Value& x, const Value& to) {
  graph_.add(op::kReshape, {x}, {to});
}

void GraphOps::store_into(const Value& x, const Value& to) {
  if (x.type == to.type) return reshape_into(x, to);
  graph_.add(op::kCast, {reshape(x, to.dims)}, {to});
}

Value GraphOps::transpose(const Value& x, const Dims& perm) {
  Dims dims;
  for (const std::uint32_t axis : perm) dims.push_back(x.dims[axis]);
  const Value y = native(std::move(dims));
  graph_.add(op::kTranspose, {x}, {y}, {qnn::u32_list("perm", perm)});
  return y;
}

Value GraphOps::concat(const Value& a, const Value& b, std::uint32_t axis) {
  const Value parts[] = {a, b};
  return concat(parts, axis);
}

Value GraphOps::concat(std::span<const Value> parts, std::uint32_t axis) {
  if (parts.size() == 1) return parts[0];
  Dims dims = parts[0].dims;
  for (const Value& part : parts.subspan(1)) dims[axis] += part.dims[axis];
  const Value y = native(std::move(dims));
  graph_.add(op::kConcat, parts, std::span(&y, 1), {{"axis", axis}});
  return y;
}

std::vector<Value> GraphOps::split(const Value& x, std::uint32_t axis, std::uint32_t size) {
  if (x.dims[axis] <= size) return {x};
  std::vector<Value> pieces;
  Dims starts;  // of all but the first
  for (std::uint32_t first = 0; first < x.dims[axis]; first += size) {
    Dims dims = x.dims;
    dims[axis] = std::min(size, x.dims[axis] - first);
    pieces.push_back(native(std::move(dims)));
    if (first > 0) starts.push_back(first);
  }
  graph_.add(op::kSplit, std::span(&x, 1), pieces,
             {{"axis", axis}, qnn::u32_list("split_index", starts)});
  return pieces;
}

Value GraphOps::tile(const Value& x, std::uint32_t axis, std::uint32_t times) {
  Dims multiples(x.dims.size(), 1);
  multiples[axis] = times;
  Dims dims = x.dims;
  dims[axis] *= times;
  const Value y = native(std::move(dims));
  graph_.add(op::kTile, {x}, {y}, {qnn::u32_list("multiples", multiples)});
  return y;
}

Value GraphOps::times_power_of_two(const Value& x, int exponent, std::string name) {
  if (exponent == 0) return x;
  return multiply(x, number(std::move(name), std::ldexp(1.0f, exponent), x.dims.size()));
}

Value GraphOps::number(std::string name, float value, std::size_t rank) {
  const auto weight =
      make_vector(std::move(name), Dims(rank, 1), activation_, std::span(&value, 1));
  if (weight.ok()) return constant(*weight);
  graph_.fail(weight.status());
  return {};
}

Value GraphOps::to_activation(const Value& x) {
  if (x.type == activation_) return x;
  const Value y = native(x.dims);
  graph_.add(op::kCast, {x}, {y});
  return y;
}

Value GraphOps::linear(const Value& x, const Linear& linear) {
  const LinearWeight& weight = linear.weight;
  Dims dims = x.dims;
  dims.back() = weight.dims.back();
  const Value y = native(std::move(dims));
  std::vector<Value> inputs = {x, graph_.constant(weight.name, weight.type, weight.dims,
                                                  weight.bytes.bytes(), weight.encoding())};
  if (linear.bias) inputs.push_back(constant(*linear.bias));
  add_linear(graph_, inputs, y);
  return y;
}

Value GraphOps::rms_norm(const Value& x, const VectorWeight& gamma, float epsilon) {
  return rms_norm(x, constant(gamma), epsilon);
}

Value GraphOps::rms_norm(const Value& x, const Value& gamma, float epsilon) {
  // The HTP library 2.51 computes nonsense, without a word, where the rows are not all in the third
  // of four dimensions (measured: [1, 32, 2, 64] is wrong, [1, 1, 64, 64] is right).
  std::uint32_t rows = 1;
  for (std::size_t i = 0; i + 1 < x.dims.size(); ++i) rows *= x.dims[i];
  const qnn::Dims flat = {1, 1, rows, x.dims.back()};
  const Value in = x.dims == flat ? x : reshape(x, flat);
  const Value y = native(flat);
  graph_.add(op::kRmsNorm, {in, gamma}, {y}, {{"epsilon", epsilon}, last_axis(flat)});
  return x.dims == flat ? y : reshape(y, x.dims);
}

Value GraphOps::layer_norm(const Value& x, const Norm& norm, float epsilon) {
  return layer_norm(x, constant(norm.gamma), constant(norm.beta), epsilon);
}

Value GraphOps::layer_norm(const Value& x, const Value& gamma, const Value& beta, float epsilon) {
  const Value y = native(x.dims);
  graph_.add(op::kLayerNorm, {x, gamma, beta}, {y}, {{"epsilon", epsilon}, last_axis(x.dims)});
  return y;
}

Value GraphOps::rotary(const Value& x, const Value& cos, const Value& sin) {
  const Value y = native(x.dims);
  graph_.add(op::kRotaryEmbedding, {x, cos, sin}, {y}, {{"interleaved", false}});
  return y;
}

Value GraphOps::matmul(const Value& a, const Value& b, bool transpose_b) {
  Dims dims = a.dims;
  dims.back() = b.dims[b.dims.size() - (transpose_b ? 2 : 1)];
  const Value y = native(std::move(dims));
  graph_.add(op::kMatMul, {a, b}, {y}, {{"transpose_in0", false}, {"transpose_in1", transpose_b}});
  return y;
}

QuantizedRows GraphOps::quantize_rows(const Value& x, const std::string& name) {
  // Below the first a row counts as zeros, so that its scale is a normal number to divide by.
  constexpr float kLeastRow = 1e-30f, kTop = 127.0f;
  const std::size_t rank = x.dims.size();
  Dims one = x.dims;
  one.back() = 1;
  const Value largest = native(one);
  graph_.add(op::kReduceMax, {unary(x, qnn::Unary::kAbs)}, {largest},
             {last_axis(x.dims), {"keep_dims", true}});
  const Value least =
      binary(largest, number(name + "_least", kLeastRow, rank), qnn::Binary::kMaximum);
  const Value scales = multiply(least, number(name + "_step", 1.0f / kTop, rank));
  const Value ratios = binary(x, scales, qnn::Binary::kDivide);
  return {unary(ratios, qnn::Unary::kRound), scales};
}

Value GraphOps::softmax(const Value& x, float beta) {
  const Value y = native(x.dims);
  const auto axis = static_cast<std::uint32_t>(x.dims.size() - 1);
  graph_.add(op::kSoftmax, {x}, {y}, {{"axis", axis}, {"beta", beta}});
  return y;
}

Value GraphOps::binary(const Value& a, const Value& b, qnn::Binary operation) {
  const Value y = native(a.dims);
  graph_.add(op::kBinary, {a, b}, {y}, {{"operation", static_cast<std::uint32_t>(operation)}});
  return y;
}

Value GraphOps::neuron(const Value& x, qnn::Neuron operation) {
  const Value y = native(x.dims);
  graph_.add(op::kNeuron, {x}, {y}, {{"operation", static_cast<std::uint32_t>(operation)}});
  return y;
}

Value GraphOps::unary(const Value& x, qnn::Unary operation) {
  const Value y = native(x.dims);
  graph_.add(op::kUnary, {x}, {y}, {{"operation", static_cast<std::uint32_t>(operation)}});
  return y;
}

Value GraphOps::add(const Value& a, const Value& b) { return binary(a, b, qnn::Binary::kAdd); }
Value GraphOps::multiply(const Value& a, const Value& b) {
  return binary(a, b, qnn::Binary::kMultiply);
}
Value GraphOps::negate(const Value& x) { return unary(x, qnn::Unary::kNegate); }

Value GraphOps::sigmoid(const Value& x) { return neuron(x, qnn::Neuron::kSigmoid); }
Value GraphOps::gelu_tanh(const Value& x) { return neuron(x, qnn::Neuron::kGelu); }

Value GraphOps::gelu_erf(const Value& x) {
  const Value y = native(x.dims);
  graph_.add(op::kGelu, {x}, {y});
  return y;
}

}  // namespace qhx::forge
