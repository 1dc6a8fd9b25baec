// Softmax over the last dimension: softmax(beta * x).
#include "ops/all.h"

namespace qhx::cpu {
namespace {

Status check_softmax(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"axis", "beta"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  const auto last = static_cast<std::int64_t>(op.inputs[0]->dims.size()) - 1;
  if (op.node.attributes.integer("axis", last) != last) {
    return op_error(op, "parameter 'axis': expected the last axis, " + std::to_string(last));
  }
  return expect_output_dims(op, 0, op.inputs[0]->dims);
}

RunFunction prepare_softmax(const Graph& graph, const Node& node, int) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const auto beta = static_cast<float>(node.attributes.number("beta", 1.0));
  const std::uint64_t width = x.dims.back(), count = x.elements() / width;
  return [=, from = node.inputs[0], to = node.outputs[0]](const Run& run) {
    parallel_ranges(run, count, 4096 / width + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      const RowsArgs rows{.x = run.in<float>(from) + begin * width,
                                          .x_stride = width,
                                          .y = run.out<float>(to) + begin * width,
                                          .y_stride = width,
                                          .rows = end - begin,
                                          .width = width};
                      run.kernels.softmax(rows, beta);
                    });
  };
}

}  // namespace

std::vector<OpDefinition> softmax_ops() {
  return {{.type = "Softmax", .check = check_softmax, .prepare = prepare_softmax}};
}

}  // namespace qhx::cpu
