#include "graph/rewrite.h"
#include "ops/op.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

bool is_multiply(const Node* node) {
  return node != nullptr && node->type == "ElementWiseBinary" &&
         binary_operation(*node) == qnn::Binary::kMultiply;
}

// x, if `node` is x * sigmoid(x); otherwise -1.
int silu_argument(const Uses& uses, const Node* node) {
  if (!is_multiply(node)) return -1;
  for (const std::size_t side : {0u, 1u}) {
    const Node* sigmoid = uses.producer(node->inputs[side], "ElementWiseNeuron");
    if (sigmoid == nullptr || neuron_operation(*sigmoid) != qnn::Neuron::kSigmoid) continue;
    if (sigmoid->inputs[0] == node->inputs[1 - side] && uses.read_once(node->inputs[side]))
      return sigmoid->inputs[0];
  }
  return -1;
}

bool fuse_at(Graph& graph, const Uses& uses, std::size_t at) {
  Node& node = graph.nodes[at];
  if (!is_multiply(&node)) return false;
  for (const std::size_t side : {0u, 1u}) {
    const int product = node.inputs[side], up = node.inputs[1 - side];
    const int gate = silu_argument(uses, uses.producer(product));
    if (gate < 0 || !uses.read_once(product) || product == up) continue;
    const Dims& dims = tensor_at(graph, node.outputs[0]).dims;
    if (tensor_at(graph, gate).dims != dims || tensor_at(graph, up).dims != dims) continue;
    node.type = internal_op::kSiluMul;
    node.attributes = {};
    node.inputs = {gate, up};
    return true;
  }
  return false;
}

}  // namespace

void fuse_silu(Graph& graph) {
  Uses uses(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (fuse_at(graph, uses, i)) uses = Uses(graph);
  }
  remove_dead(graph);
  uses = Uses(graph);
  for (Node& node : graph.nodes) {
    const int x = silu_argument(uses, &node);
    if (x < 0) continue;
    node.type = internal_op::kSilu;
    node.attributes = {};
    node.inputs = {x};
    uses = Uses(graph);
  }
}

}  // namespace qhx::cpu
