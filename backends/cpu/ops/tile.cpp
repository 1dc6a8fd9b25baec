// Tile: repeats a tensor along its axes.
#include "ops/all.h"
#include "ops/strided.h"

namespace qhx::cpu {
namespace {

Status check_tile(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"multiples"}));
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  Dims expected = op.inputs[0]->dims;
  const auto* multiples = op.node.attributes.list("multiples");
  if (multiples == nullptr || multiples->size() != expected.size()) {
    return op_error(
        op, "parameter 'multiples': expected " + std::to_string(expected.size()) + " values");
  }
  for (std::size_t d = 0; d < expected.size(); ++d) {
    const std::int64_t times = (*multiples)[d];
    if (times < 1 || times > 0xFFFFFFFFll ||
        static_cast<std::uint64_t>(times) * expected[d] > 0xFFFFFFFFu) {
      return op_error(op, "parameter 'multiples': " + std::to_string(times) + " is out of range");
    }
    expected[d] *= static_cast<std::uint32_t>(times);
  }
  return expect_output_dims(op, 0, expected);
}

RunFunction prepare_tile(const Graph& graph, const Node& node, int) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const std::vector<std::int64_t> strides = dense_strides(x.dims);
  StridedWalk walk;  // each axis becomes a repetition and the axis itself
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    walk.dims.push_back(static_cast<std::uint64_t>((*node.attributes.list("multiples"))[d]));
    walk.strides.push_back(0);
    walk.dims.push_back(x.dims[d]);
    walk.strides.push_back(strides[d]);
  }
  return strided_copy(node.inputs[0], node.outputs[0], walk, size_bytes(x.dtype));
}

}  // namespace

std::vector<OpDefinition> tile_ops() {
  return {{.type = "Tile", .check = check_tile, .prepare = prepare_tile}};
}

}  // namespace qhx::cpu
