#include <algorithm>

#include "graph/rewrite.h"
#include "ops/op.h"

namespace qhx::cpu {
namespace {

constexpr std::ptrdiff_t kScoreInputs = 3;  // of qhx.Attention: q, past_k, new_k

}  // namespace

void mark_precise(Graph& graph) {
  const Uses uses(graph);
  std::vector<int> tensors;
  for (const Node& node : graph.nodes) {
    if (node.type == "Softmax") tensors.push_back(node.inputs[0]);
    if (node.type != internal_op::kAttention) continue;
    tensors.insert(tensors.end(), node.inputs.begin(), node.inputs.begin() + kScoreInputs);
  }
  std::vector<bool> seen(graph.tensors.size());
  while (!tensors.empty()) {
    const int tensor = tensors.back();
    tensors.pop_back();
    const Node* const node = uses.producer(tensor);
    if (node == nullptr || seen[static_cast<std::size_t>(tensor)]) continue;
    seen[static_cast<std::size_t>(tensor)] = true;
    if (node->type == internal_op::kLinear) {
      auto& marks = graph.nodes[static_cast<std::size_t>(node - graph.nodes.data())]
                        .attributes.ints["precise"];
      marks.resize(node->outputs.size());
      const auto layer = std::find(node->outputs.begin(), node->outputs.end(), tensor);
      marks[static_cast<std::size_t>(layer - node->outputs.begin())] = 1;
    } else {
      tensors.insert(tensors.end(), node->inputs.begin(), node->inputs.end());
    }
  }
}

}  // namespace qhx::cpu
