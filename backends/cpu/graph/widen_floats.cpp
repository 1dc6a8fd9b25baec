#include "graph/rewrite.h"

namespace qhx::cpu {
namespace {

Node cast_node(int from, int to, const std::string& name) {
  return {.name = name, .type = "Cast", .attributes = {}, .inputs = {from}, .outputs = {to}};
}

}  // namespace

void widen_floats(Graph& graph) {
  std::vector<Node> before, after;
  const std::size_t count = graph.tensors.size();  // those added here are f32
  for (std::size_t i = 0; i < count; ++i) {
    const auto index = static_cast<int>(i);
    if (graph.tensors[i].dtype != DType::kF16) continue;
    switch (graph.tensors[i].role) {
      case Role::kStatic:
        break;  // packed or widened later, by its use
      case Role::kNative:
        graph.tensors[i].dtype = DType::kF32;
        break;
      case Role::kInput: {
        const int wide = add_native(graph, index, "/f32");
        redirect_readers(graph, index, wide);
        before.push_back(cast_node(index, wide, graph.tensors[i].name + "/widen"));
        break;
      }
      case Role::kOutput: {
        const int wide = add_native(graph, index, "/f32");
        redirect_readers(graph, index, wide);
        for (Node& node : graph.nodes) {
          for (int& output : node.outputs) {
            if (output == index) output = wide;
          }
        }
        after.push_back(cast_node(wide, index, graph.tensors[i].name + "/narrow"));
        break;
      }
    }
  }
  graph.nodes.insert(graph.nodes.begin(), before.begin(), before.end());
  graph.nodes.insert(graph.nodes.end(), after.begin(), after.end());
}

}  // namespace qhx::cpu
