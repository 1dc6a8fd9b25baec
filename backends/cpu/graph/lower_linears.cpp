#include "graph/linear_bias.h"
#include "graph/rewrite.h"
#include "ops/op.h"
#include "ops/weights.h"

namespace qhx::cpu {
namespace {

// A weight as [K, N] or [N, K].
struct Matrix {
  WeightLayout layout;
  std::uint64_t n, k;
};

// Whether a node is a linear layer, and how its weight lies.
bool find_weight(const Graph& graph, const Node& node, Matrix& matrix) {
  if (node.inputs.size() < 2) return false;
  const Tensor& weight = tensor_at(graph, node.inputs[1]);
  if (!weight.is_static()) return false;
  bool output_major = false;
  if (node.type == "FullyConnected") {
    output_major = true;
  } else if (node.type == "MatMul") {
    if (node.attributes.integer("transpose_in0", 0) != 0) return false;
    if (product(weight.dims, 0, weight.dims.size() - 2) != 1) return false;
    output_major = node.attributes.integer("transpose_in1", 0) != 0;
  } else if (node.type != "Conv2d") {
    return false;
  }
  const std::uint64_t a = weight.dim_from_end(1), b = weight.dim_from_end(0);
  matrix = output_major ? Matrix{WeightLayout::kOutputMajor, a, b}
                        : Matrix{WeightLayout::kInputMajor, b, a};
  return true;
}

Result<int> add_packed(Graph& graph, int weight_index, const Matrix& matrix,
                       const ConstantTools& tools) {
  const Tensor& weight = tensor_at(graph, weight_index);
  const PackedFormat format = packed_format(weight, matrix.n, matrix.k);
  Tensor packed;
  packed.name = weight.name;
  packed.role = Role::kStatic;
  packed.dtype = DType::kI8;
  packed.dims = {static_cast<std::uint32_t>(matrix.k), static_cast<std::uint32_t>(matrix.n)};
  packed.packed = format;
  packed.blob = weight.constant->packed(format, matrix.layout, tools);
  if (packed.blob == nullptr) {
    return internal_error("weight '" + weight.name + "' is used in two layouts; create it twice");
  }
  graph.tensors.push_back(std::move(packed));
  return static_cast<int>(graph.tensors.size()) - 1;
}

Status lower(Graph& graph, std::size_t at, const Matrix& matrix, const ConstantTools& tools) {
  const int weight = graph.nodes[at].inputs[1];
  QHX_ASSIGN_OR_RETURN(const int packed, add_packed(graph, weight, matrix, tools));
  Node& node = graph.nodes[at];
  int bias = node.inputs.size() > 2 ? node.inputs[2] : -1;
  if (bias >= 0) bias = add_padded_bias(graph, bias, matrix.n, tools);
  node.type = internal_op::kLinear;
  node.attributes = {};
  node.attributes.ints["activations"] = {static_cast<std::int64_t>(Activation::kNone)};
  node.inputs = {node.inputs[0], packed, bias, -1};
  return {};
}

}  // namespace

Status lower_linears(Graph& graph, const ConstantTools& tools) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Matrix matrix{};
    if (find_weight(graph, graph.nodes[i], matrix))
      QHX_RETURN_IF_ERROR(lower(graph, i, matrix, tools));
  }
  return {};
}

}  // namespace qhx::cpu
