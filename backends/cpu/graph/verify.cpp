#include "graph/verify.h"

#include <set>

namespace qhx::cpu {
namespace {

Status check_tensor(const Graph& graph, const Tensor& tensor) {
  const std::string what = "graph '" + graph.name + "': tensor '" + tensor.name + "'";
  QHX_RETURN_IF_ERROR(check_dims(tensor.dims, tensor.dtype, what));
  if (!tensor.is_static()) {
    if (tensor.packed || tensor.blob != nullptr)
      return corrupt(what + ": only static tensors have stored values");
    if (tensor.dtype == DType::kU8) return corrupt(what + ": quantized and not static");
    return {};
  }
  if (tensor.blob == nullptr) return corrupt(what + ": static, but without values");
  const std::uint64_t needed = tensor.packed ? tensor.packed->size_bytes() : tensor.size_bytes();
  if (tensor.blob->bytes().size() < needed) {
    return corrupt(what + ": expected " + std::to_string(needed) + " stored bytes, found " +
                   std::to_string(tensor.blob->bytes().size()));
  }
  return {};
}

bool in_range(const Graph& graph, int index) {
  return index >= 0 && static_cast<std::size_t>(index) < graph.tensors.size();
}

Status check_edges(const Graph& graph, const std::vector<int>& list, Role role) {
  std::set<int> seen;
  for (const int index : list) {
    if (!in_range(graph, index) || graph.tensors[static_cast<std::size_t>(index)].role != role ||
        !seen.insert(index).second) {
      return corrupt("graph '" + graph.name +
                     "': its list of inputs or outputs does not match its tensors");
    }
  }
  return {};
}

Status check_links(const Graph& graph, const Node& node, std::vector<bool>& ready) {
  const std::string what = "graph '" + graph.name + "': node '" + node.name + "'";
  for (const int input : node.inputs) {
    if (input == -1) continue;
    if (!in_range(graph, input)) return corrupt(what + ": an input does not exist");
    if (!ready[static_cast<std::size_t>(input)])
      return corrupt(what + ": an input is not produced before it");
  }
  for (const int output : node.outputs) {
    if (!in_range(graph, output)) return corrupt(what + ": an output does not exist");
    if (ready[static_cast<std::size_t>(output)])
      return corrupt(what + ": an output has another producer");
    ready[static_cast<std::size_t>(output)] = true;
  }
  return {};
}

Status check_types(const OpView& op, const OpDefinition& definition) {
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* t = op.inputs[i];
    if (t == nullptr) continue;
    const bool f16_allowed = i < 32 && (definition.f16_inputs >> i & 1u) != 0;
    if (t->packed ? op.node.type != internal_op::kLinear
                  : t->dtype == DType::kF16 && !f16_allowed) {
      return op_error(op, describe(op, true, i) + ": cannot be read in this form");
    }
  }
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    const bool f16_allowed = i < 32 && (definition.f16_outputs >> i & 1u) != 0;
    if (op.outputs[i]->dtype == DType::kF16 && !f16_allowed) {
      return op_error(op, describe(op, false, i) + ": cannot be written in this form");
    }
  }
  return {};
}

}  // namespace

OpView view_of(const Graph& graph, const Node& node) {
  OpView view{.node = node, .inputs = {}, .outputs = {}};
  const auto tensor = [&](int index) {
    return index < 0 ? nullptr : &graph.tensors[static_cast<std::size_t>(index)];
  };
  for (const int input : node.inputs) view.inputs.push_back(tensor(input));
  for (const int output : node.outputs) view.outputs.push_back(tensor(output));
  return view;
}

Status verify_executable(const Graph& graph) {
  std::vector<bool> ready;
  for (const Tensor& tensor : graph.tensors) {
    QHX_RETURN_IF_ERROR(check_tensor(graph, tensor));
    ready.push_back(tensor.is_static() || tensor.role == Role::kInput);
  }
  QHX_RETURN_IF_ERROR(check_edges(graph, graph.inputs, Role::kInput));
  QHX_RETURN_IF_ERROR(check_edges(graph, graph.outputs, Role::kOutput));
  for (const Node& node : graph.nodes) {
    QHX_RETURN_IF_ERROR(check_links(graph, node, ready));
    const OpDefinition* definition = find_op(node.type);
    if (definition == nullptr || definition->prepare == nullptr) {
      return corrupt("graph '" + graph.name + "': node '" + node.name + "': unknown operation '" +
                     node.type + "'");
    }
    const OpView view = view_of(graph, node);
    QHX_RETURN_IF_ERROR(definition->check(view).with_context("graph '" + graph.name + "'"));
    QHX_RETURN_IF_ERROR(check_types(view, *definition).with_context("graph '" + graph.name + "'"));
  }
  std::size_t clients = 0;
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    if (tensor.role == Role::kInput || tensor.role == Role::kOutput) ++clients;
    if (tensor.role == Role::kOutput && !ready[i]) {
      return corrupt("graph '" + graph.name + "': no node produces the output '" + tensor.name +
                     "'");
    }
  }
  if (clients != graph.inputs.size() + graph.outputs.size()) {
    return corrupt("graph '" + graph.name +
                   "': its list of inputs or outputs does not match its tensors");
  }
  return {};
}

}  // namespace qhx::cpu
