// Reshape and ExpandDims: the same elements under other dimensions. The memory plan mostly gives
// input and output one place; where it cannot (both belong to the client), they are copied.
#include <cstring>

#include "ops/all.h"

namespace qhx::cpu {
namespace {

Status check_reshape(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {}));
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  if (op.inputs[0]->elements() != op.outputs[0]->elements()) {
    return op_error(
        op, describe(op, false, 0) + ": expected as many elements as " + describe(op, true, 0));
  }
  return {};
}

Status check_expand_dims(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"axes", "axis"}));
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  const Dims& x = op.inputs[0]->dims;
  const auto* axes = op.node.attributes.list("axes");
  if (axes == nullptr) axes = op.node.attributes.list("axis");
  if (axes == nullptr) return op_error(op, "parameter 'axes' is required");
  Dims expected(x.size() + axes->size(), 0);
  for (const std::int64_t axis : *axes) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(expected.size()) ||
        expected[static_cast<std::size_t>(axis)] == 1) {
      return op_error(op, "parameter 'axes': expected distinct axes of the output");
    }
    expected[static_cast<std::size_t>(axis)] = 1;
  }
  std::size_t next = 0;
  for (std::uint32_t& dim : expected) {
    if (dim == 0) dim = x[next++];
  }
  return expect_output_dims(op, 0, expected);
}

RunFunction prepare_copy(const Graph& graph, const Node& node, int) {
  const Tensor& y = graph.tensors[static_cast<std::size_t>(node.outputs[0])];
  return [from = node.inputs[0], to = node.outputs[0], size = y.size_bytes()](const Run& run) {
    const std::byte* source = run.in<std::byte>(from);
    std::byte* target = run.out<std::byte>(to);
    if (source == target) return;
    parallel_ranges(run, size, 64 * 1024, [&](std::size_t begin, std::size_t end, std::byte*) {
      std::memcpy(target + begin, source + begin, end - begin);
    });
  };
}

}  // namespace

std::vector<OpDefinition> reshape_ops() {
  return {{.type = "Reshape", .check = check_reshape, .prepare = prepare_copy},
          {.type = "ExpandDims", .check = check_expand_dims, .prepare = prepare_copy}};
}

}  // namespace qhx::cpu
