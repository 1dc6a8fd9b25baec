// Passes that remove what has no effect, and the last one, which gives static tensors their bytes.
#include <algorithm>

#include "graph/rewrite.h"

namespace qhx::cpu {
namespace {

// Which tensors some output depends on, and the nodes that make them.
void mark_needed(const Graph& graph, std::vector<bool>& tensors, std::vector<bool>& nodes) {
  for (const int output : graph.outputs) tensors[static_cast<std::size_t>(output)] = true;
  for (const int input : graph.inputs) tensors[static_cast<std::size_t>(input)] = true;
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    nodes[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                           [&](int output) { return tensors[static_cast<std::size_t>(output)]; });
    if (!nodes[n]) continue;
    for (const int output : node.outputs) tensors[static_cast<std::size_t>(output)] = true;
    for (const int input : node.inputs) {
      if (input >= 0) tensors[static_cast<std::size_t>(input)] = true;
    }
  }
}

void renumber(std::vector<int>& list, const std::vector<int>& number) {
  for (int& index : list) {
    if (index >= 0) index = number[static_cast<std::size_t>(index)];
  }
}

// Whether a tensor is read by Gather alone, as its table.
bool is_only_table(const Graph& graph, int tensor) {
  bool table = false;
  for (const Node& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != tensor) continue;
      if (node.type != "Gather" || i != 0) return false;
      table = true;
    }
  }
  return table;
}

}  // namespace

void remove_identities(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (node.type != "Cast") continue;
    const int from = node.inputs[0], to = node.outputs[0];
    if (tensor_at(graph, to).role != Role::kNative ||
        tensor_at(graph, from).dtype != tensor_at(graph, to).dtype) {
      continue;
    }
    redirect_readers(graph, to, from);
  }
}

void remove_dead(Graph& graph) {
  std::vector<bool> tensors(graph.tensors.size(), false), nodes(graph.nodes.size(), false);
  mark_needed(graph, tensors, nodes);
  std::vector<int> number(graph.tensors.size(), -1);
  std::vector<Tensor> kept;
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    if (!tensors[i]) continue;
    number[i] = static_cast<int>(kept.size());
    kept.push_back(std::move(graph.tensors[i]));
  }
  graph.tensors = std::move(kept);
  std::vector<Node> kept_nodes;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!nodes[n]) continue;
    renumber(graph.nodes[n].inputs, number);
    renumber(graph.nodes[n].outputs, number);
    kept_nodes.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(kept_nodes);
  renumber(graph.inputs, number);
  renumber(graph.outputs, number);
}

Status freeze_constants(Graph& graph, const ConstantTools& tools) {
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    Tensor& tensor = graph.tensors[i];
    if (!tensor.is_static() || tensor.blob != nullptr) continue;
    if (tensor.dtype == DType::kF16 && !is_only_table(graph, static_cast<int>(i))) {
      tensor.dtype = DType::kF32;
      tensor.blob = tensor.constant->as_f32(tools);
    } else {
      tensor.blob = tensor.constant->raw();
    }
    if (tensor.blob == nullptr)
      return unsupported("tensor '" + tensor.name + "': quantized, but not a linear's weight");
    tensor.blob = tools.blobs.intern(tensor.blob);
  }
  for (Tensor& tensor : graph.tensors) tensor.constant.reset();
  return {};
}

}  // namespace qhx::cpu
