// Passes around the heads of attention, apart from attention itself.
#include "graph/rewrite.h"
#include "ops/op.h"

namespace qhx::cpu {
namespace {

// Takes the norm of rows away from `x`, which then holds what the norm read. The norm may have seen
// its rows in another shape: a view between them stays, and now views its input. Returns the norm,
// or null if there is none that only `x` needs.
const Node* take_row_norm(Graph& graph, const Uses& uses, int& x) {
  if (!uses.read_once(x)) return nullptr;
  if (const Node* norm = uses.producer(x, "RmsNorm")) {
    x = norm->inputs[0];
    return norm;
  }
  const Node* view = uses.producer(x, "Reshape");
  if (view == nullptr || !uses.read_once(view->inputs[0])) return nullptr;
  const Node* norm = uses.producer(view->inputs[0], "RmsNorm");
  if (norm == nullptr ||
      tensor_at(graph, norm->inputs[0]).dims.back() != tensor_at(graph, x).dims.back())
    return nullptr;
  graph.nodes[static_cast<std::size_t>(view - graph.nodes.data())].inputs[0] = norm->inputs[0];
  return norm;
}

bool fuse_rope_at(Graph& graph, const Uses& uses, std::size_t at) {
  Node& rope = graph.nodes[at];
  if (rope.type != "RotaryEmbedding") return false;
  const Node* transpose = uses.producer(rope.inputs[0], "Transpose");
  if (transpose == nullptr || !swaps_heads_and_tokens(graph, *transpose)) return false;
  int x = transpose->inputs[0], gamma = -1;
  double epsilon = 0.0;
  if (const Node* norm = take_row_norm(graph, uses, x)) {
    gamma = norm->inputs[1];
    epsilon = norm->attributes.number("epsilon", 1e-6);
  }
  const std::int64_t interleaved = rope.attributes.integer("interleaved", 0);
  rope.type = internal_op::kHeadRope;
  rope.inputs = {x, gamma, rope.inputs[1], rope.inputs[2]};
  rope.attributes = {};
  rope.attributes.ints["interleaved"] = {interleaved};
  rope.attributes.floats["epsilon"] = epsilon;
  return true;
}

bool fuse_cast_at(Graph& graph, const Uses& uses, std::size_t at) {
  Node& cast = graph.nodes[at];
  if (cast.type != "Cast" || tensor_at(graph, cast.outputs[0]).dtype != DType::kF16) return false;
  int tensor = cast.inputs[0];
  while (uses.read_once(tensor)) {
    const Node* node = uses.producer(tensor);
    if (node == nullptr) return false;
    if (node->type == "Reshape") {
      tensor = node->inputs[0];
      continue;
    }
    if (node->type != "Transpose" || tensor_at(graph, node->inputs[0]).dtype != DType::kF32)
      return false;
    cast.type = "Transpose";
    cast.attributes = node->attributes;
    cast.attributes.ints["to_f16"] = {1};
    cast.inputs = node->inputs;
    return true;
  }
  return false;
}

}  // namespace

void fuse_head_rope(Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].type == "RotaryEmbedding") fuse_rope_at(graph, Uses(graph), i);
  }
}

void fuse_transpose_cast(Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].type == "Cast") fuse_cast_at(graph, Uses(graph), i);
  }
}

}  // namespace qhx::cpu
