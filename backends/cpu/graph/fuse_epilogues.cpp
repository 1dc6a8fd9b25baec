#include <algorithm>

#include "graph/linear_bias.h"
#include "graph/rewrite.h"
#include "ops/op.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

Activation activation_of(const Node& linear) {
  return static_cast<Activation>(linear.attributes.list("activations")->front());
}

// The qhx.Linear behind `tensor`, through Reshapes, if nothing else reads anything on the way.
const Node* private_linear(const Uses& uses, int tensor) {
  for (;;) {
    if (!uses.read_once(tensor)) return nullptr;
    const Node* node = uses.producer(tensor);
    if (node == nullptr) return nullptr;
    if (node->type == internal_op::kLinear) return node->outputs.size() == 1 ? node : nullptr;
    if (node->type != "Reshape") return nullptr;
    tensor = node->inputs[0];
  }
}

// Replaces nodes[at] by `linear` writing that node's output.
void take_over(Graph& graph, std::size_t at, Node linear) {
  linear.outputs = graph.nodes[at].outputs;
  graph.nodes[at] = std::move(linear);
}

// The last dimension must still be the layer's channels, or the kernel's rows would not be those of
// the output.
bool keeps_channels(const Graph& graph, const Node& linear, int output) {
  return tensor_at(graph, linear.outputs[0]).dims.back() == tensor_at(graph, output).dims.back();
}

bool fuse_activation(Graph& graph, const Uses& uses, std::size_t at) {
  const Node& node = graph.nodes[at];
  Activation activation = Activation::kNone;
  if (node.type == "Gelu") activation = Activation::kGeluErf;
  if (node.type == "ElementWiseNeuron") {
    const qnn::Neuron operation = neuron_operation(node);
    if (operation == qnn::Neuron::kGelu) activation = Activation::kGeluTanh;
    if (operation == qnn::Neuron::kRelu) activation = Activation::kRelu;
  }
  if (activation == Activation::kNone) return false;
  const Node* linear = private_linear(uses, node.inputs[0]);
  if (linear == nullptr || activation_of(*linear) != Activation::kNone ||
      linear_input(*linear, LinearInput::kResidual) >= 0 ||
      !keeps_channels(graph, *linear, node.outputs[0])) {
    return false;
  }
  Node fused = *linear;
  fused.attributes.ints["activations"] = {static_cast<std::int64_t>(activation)};
  take_over(graph, at, std::move(fused));
  return true;
}

bool is_bias(const Graph& graph, const Node& linear, int tensor) {
  const Tensor& bias = tensor_at(graph, tensor);
  return bias.is_static() && bias.constant != nullptr && bias.is_float() &&
         bias.dims.back() == tensor_at(graph, linear.outputs[0]).dims.back() &&
         bias.elements() == bias.dims.back();
}

bool fuse_addition(Graph& graph, const Uses& uses, std::size_t at, std::size_t side,
                   const ConstantTools& tools) {
  const Node& node = graph.nodes[at];
  if (node.type != "ElementWiseBinary" || binary_operation(node) != qnn::Binary::kAdd) return false;
  const int sum = node.inputs[side], other = node.inputs[1 - side], output = node.outputs[0];
  const Node* linear = private_linear(uses, sum);
  if (linear == nullptr || sum == other || linear_input(*linear, LinearInput::kResidual) >= 0 ||
      tensor_at(graph, sum).dims != tensor_at(graph, output).dims ||
      !keeps_channels(graph, *linear, output)) {
    return false;
  }
  Node fused = *linear;
  const bool no_bias =
      linear_input(fused, LinearInput::kBias) < 0 && activation_of(fused) == Activation::kNone;
  if (no_bias && is_bias(graph, fused, other)) {
    const std::uint64_t n = tensor_at(graph, other).dims.back();
    linear_input(fused, LinearInput::kBias) = add_padded_bias(graph, other, n, tools);
  } else if (tensor_at(graph, other).dims == tensor_at(graph, output).dims) {
    linear_input(fused, LinearInput::kResidual) = other;
  } else {
    return false;
  }
  take_over(graph, at, std::move(fused));
  return true;
}

}  // namespace

Status fuse_epilogues(Graph& graph, const ConstantTools& tools) {
  Uses uses(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (fuse_activation(graph, uses, i) || fuse_addition(graph, uses, i, 1, tools) ||
        fuse_addition(graph, uses, i, 0, tools)) {
      remove_dead(graph);
      uses = Uses(graph);
      i = 0;
    }
  }
  return {};
}

}  // namespace qhx::cpu
