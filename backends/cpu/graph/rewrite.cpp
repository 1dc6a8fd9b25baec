#include "graph/rewrite.h"

#include <algorithm>

#include "graph/verify.h"

namespace qhx::cpu {

Status rewrite(Graph& graph, bool fuse, const ConstantTools& tools) {
  widen_floats(graph);
  QHX_RETURN_IF_ERROR(lower_linears(graph, tools));
  remove_identities(graph);
  remove_dead(graph);
  if (fuse) {
    QHX_RETURN_IF_ERROR(fuse_epilogues(graph, tools));
    fuse_silu(graph);
    fuse_head_rope(graph);
    fuse_quantize(graph, tools);
    fuse_attention(graph);
    remove_dead(graph);
    fuse_transpose_cast(graph);
    group_linears(graph);
  }
  remove_dead(graph);
  mark_precise(graph);
  QHX_RETURN_IF_ERROR(freeze_constants(graph, tools));
  return verify_executable(graph);
}

Uses::Uses(const Graph& graph)
    : graph_(&graph), producer_(graph.tensors.size(), -1), readers_(graph.tensors.size()) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const int input : graph.nodes[n].inputs) {
      if (input < 0) continue;
      auto& readers = readers_[static_cast<std::size_t>(input)];
      if (readers.empty() || readers.back() != static_cast<int>(n))
        readers.push_back(static_cast<int>(n));
    }
    for (const int output : graph.nodes[n].outputs)
      producer_[static_cast<std::size_t>(output)] = static_cast<int>(n);
  }
}

const Node* Uses::producer(int tensor) const {
  if (tensor < 0) return nullptr;
  const int node = producer_[static_cast<std::size_t>(tensor)];
  return node < 0 ? nullptr : &graph_->nodes[static_cast<std::size_t>(node)];
}

const Node* Uses::producer(int tensor, std::string_view type) const {
  const Node* node = producer(tensor);
  return node != nullptr && node->type == type ? node : nullptr;
}

int Uses::sole_reader(int tensor) const {
  const auto& readers = readers_[static_cast<std::size_t>(tensor)];
  if (readers.size() != 1 || tensor_at(*graph_, tensor).role == Role::kOutput) return -1;
  return readers.front();
}

int Uses::strip(int tensor, bool casts) const {
  for (;;) {
    const Node* node = producer(tensor);
    if (node == nullptr) return tensor;
    const bool view = node->type == "Reshape" || node->type == "ExpandDims";
    const bool cast =
        casts && node->type == "Cast" && tensor_at(*graph_, node->inputs[0]).dtype == DType::kF16;
    if (!view && !cast) return tensor;
    tensor = node->inputs[0];
  }
}

int add_native(Graph& graph, int like, std::string_view suffix) {
  Tensor tensor;
  tensor.name = tensor_at(graph, like).name + std::string(suffix);
  tensor.dims = tensor_at(graph, like).dims;
  graph.tensors.push_back(std::move(tensor));
  return static_cast<int>(graph.tensors.size()) - 1;
}

void redirect_readers(Graph& graph, int from, int to) {
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
}

bool swaps_heads_and_tokens(const Graph& graph, const Node& node) {
  const auto* perm = node.attributes.list("perm");
  return node.type == "Transpose" && perm != nullptr &&
         *perm == std::vector<std::int64_t>{0, 2, 1, 3} &&
         tensor_at(graph, node.inputs[0]).dims[0] == 1;
}

int untransposed(const Graph& graph, const Uses& uses, int tensor, std::uint64_t heads,
                 std::uint64_t rows) {
  const Node* transpose = uses.producer(uses.strip(tensor), "Transpose");
  if (transpose == nullptr || !swaps_heads_and_tokens(graph, *transpose)) return -1;
  const Dims& dims = tensor_at(graph, transpose->outputs[0]).dims;
  return dims[1] == heads && dims[2] == rows ? transpose->inputs[0] : -1;
}

}  // namespace qhx::cpu
