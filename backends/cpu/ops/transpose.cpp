// Transpose. When it runs, its output may be f16 (a Cast that followed it, done on the way).
#include "ops/all.h"
#include "ops/strided.h"

namespace qhx::cpu {
namespace {

Status check_transpose(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"perm", "to_f16"}));
  const bool to_f16 = op.node.attributes.integer("to_f16", 0) != 0;
  if (!to_f16) {
    QHX_RETURN_IF_ERROR(expect_one_type(op));
  } else if (op.inputs[0]->dtype != DType::kF32 || op.outputs[0]->dtype != DType::kF16) {
    return op_error(op, "to_f16 is from f32 to f16");
  }
  const Dims& x = op.inputs[0]->dims;
  const auto* perm = op.node.attributes.list("perm");
  if (perm == nullptr || perm->size() != x.size()) {
    return op_error(op, "parameter 'perm': expected " + std::to_string(x.size()) + " axes");
  }
  Dims expected;
  std::uint32_t seen = 0;
  for (const std::int64_t axis : *perm) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(x.size()) || (seen >> axis & 1u) != 0) {
      return op_error(op, "parameter 'perm': expected each axis once");
    }
    seen |= 1u << axis;
    expected.push_back(x[static_cast<std::size_t>(axis)]);
  }
  if (to_f16)
    return element_count(expected) == op.outputs[0]->elements() ? Status()
                                                                : op_error(op, "sizes differ");
  return expect_output_dims(op, 0, expected);
}

RunFunction prepare_transpose(const Graph& graph, const Node& node, int) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const std::vector<std::int64_t> strides = dense_strides(x.dims);
  StridedWalk walk;
  for (const std::int64_t axis : *node.attributes.list("perm")) {
    walk.dims.push_back(x.dims[static_cast<std::size_t>(axis)]);
    walk.strides.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  const bool to_f16 = node.attributes.integer("to_f16", 0) != 0;
  return strided_copy(node.inputs[0], node.outputs[0], walk, size_bytes(x.dtype), to_f16);
}

}  // namespace

std::vector<OpDefinition> transpose_ops() {
  return {{.type = "Transpose",
           .check = check_transpose,
           .prepare = prepare_transpose,
           .f16_outputs = 1u}};
}

}  // namespace qhx::cpu
