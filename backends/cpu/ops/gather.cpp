// Gather: slices of a table by int32 indices along one axis. A static f16 table stays f16 in
// memory.
#include <cstring>

#include "ops/all.h"

namespace qhx::cpu {
namespace {

Status check_gather(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 2, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"axis"}));
  const Tensor& table = *op.inputs[0];
  const Tensor& indices = *op.inputs[1];
  const Tensor& y = *op.outputs[0];
  const bool widened = table.is_static() && table.dtype == DType::kF16 && y.dtype == DType::kF32;
  if (table.dtype == DType::kI8 || table.dtype == DType::kU8 ||
      (table.dtype != y.dtype && !widened)) {
    return op_error(op,
                    describe(op, true, 0) + ": expected the type of the output, float or int32");
  }
  if (indices.dtype != DType::kI32) return op_error(op, describe(op, true, 1) + ": expected int32");
  const std::int64_t axis = op.node.attributes.integer("axis", 0);
  if (axis < 0 || axis >= static_cast<std::int64_t>(table.dims.size())) {
    return op_error(op, "parameter 'axis': " + std::to_string(axis) + " is out of range");
  }
  Dims expected(table.dims.begin(), table.dims.begin() + axis);
  expected.insert(expected.end(), indices.dims.begin(), indices.dims.end());
  expected.insert(expected.end(), table.dims.begin() + axis + 1, table.dims.end());
  return expect_output_dims(op, 0, expected);
}

struct GatherPlan {
  int table, indices, y;
  std::uint64_t outer, axis_size, count, width;  // width: elements after the axis
  std::size_t element_bytes;                     // of the table
  bool widen;                                    // f16 table, f32 output
};

void gather_one(const Run& run, const GatherPlan& plan, std::size_t i) {
  const std::int32_t index = run.in<std::int32_t>(plan.indices)[i % plan.count];
  if (index < 0 || static_cast<std::uint64_t>(index) >= plan.axis_size) {
    run.failure = "Gather: an index is outside the table";
    return;
  }
  const std::uint64_t at =
      (i / plan.count * plan.axis_size + static_cast<std::uint64_t>(index)) * plan.width;
  if (plan.widen) {
    run.kernels.f16_to_f32(run.in<std::uint16_t>(plan.table) + at,
                           run.out<float>(plan.y) + i * plan.width, plan.width);
  } else {
    std::memcpy(run.out<std::byte>(plan.y) + i * plan.width * plan.element_bytes,
                run.in<std::byte>(plan.table) + at * plan.element_bytes,
                plan.width * plan.element_bytes);
  }
}

RunFunction prepare_gather(const Graph& graph, const Node& node, int) {
  const Tensor& table = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const Tensor& y = graph.tensors[static_cast<std::size_t>(node.outputs[0])];
  const auto axis = static_cast<std::size_t>(node.attributes.integer("axis", 0));
  const GatherPlan plan{.table = node.inputs[0],
                        .indices = node.inputs[1],
                        .y = node.outputs[0],
                        .outer = product(table.dims, 0, axis),
                        .axis_size = table.dims[axis],
                        .count = graph.tensors[static_cast<std::size_t>(node.inputs[1])].elements(),
                        .width = product(table.dims, axis + 1, table.dims.size()),
                        .element_bytes = size_bytes(table.dtype),
                        .widen = table.dtype == DType::kF16 && y.dtype == DType::kF32};
  return [plan](const Run& run) {
    parallel_ranges(run, plan.outer * plan.count, 16 * 1024 / plan.width + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      for (std::size_t i = begin; i < end; ++i) gather_one(run, plan, i);
                    });
  };
}

}  // namespace

std::vector<OpDefinition> gather_ops() {
  return {
      {.type = "Gather", .check = check_gather, .prepare = prepare_gather, .f16_inputs = 1u << 0}};
}

}  // namespace qhx::cpu
