#include "graph/rewrite.h"
#include "ops/op.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kMostLayers = 16;

// A layer that may move up to an earlier reader of its input: nothing but the input and statics is
// needed for it.
bool can_move(const Node& node) {
  return node.type == internal_op::kLinear && node.outputs.size() == 1 &&
         linear_input(node, LinearInput::kResidual) < 0;
}

void append(Node& group, const Node& layer) {
  group.inputs.insert(group.inputs.end(), layer.inputs.begin() + 1, layer.inputs.end());
  group.outputs.push_back(layer.outputs[0]);
  group.attributes.ints["activations"].push_back(layer.attributes.list("activations")->front());
}

}  // namespace

void group_linears(Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!can_move(graph.nodes[i])) continue;
    for (std::size_t j = i + 1;
         j < graph.nodes.size() && graph.nodes[i].outputs.size() < kMostLayers; ++j) {
      if (!can_move(graph.nodes[j]) || graph.nodes[j].inputs[0] != graph.nodes[i].inputs[0])
        continue;
      append(graph.nodes[i], graph.nodes[j]);
      graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(j));
      --j;
    }
  }
}

}  // namespace qhx::cpu
