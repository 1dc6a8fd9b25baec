// Rows of keys and values as int8 with a scale each, made by finalize from what forge writes out.
//
// qhx.QuantizeRows  input x: f32, heads G, rows T of width D, [G, T, D] or, with by_token = 1,
//   [T, G, D]; outputs values: int8 [.., G, T, D], scales: f32 [.., G, T, 1]; each row's values
//   times its scale are x, as KernelTable::quantize_row says.
//   Attributes: heads G, width D, by_token.
#include "ops/all.h"

namespace qhx::cpu {
namespace {

Status check_quantize(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 2));
  QHX_RETURN_IF_ERROR(expect_params(op, {"heads", "width", "by_token"}));
  const Tensor &x = *op.inputs[0], &values = *op.outputs[0], &scales = *op.outputs[1];
  if (x.dtype != DType::kF32 || values.dtype != DType::kI8 || scales.dtype != DType::kF32)
    return op_error(op, "expected f32 to int8 and f32");
  const std::int64_t heads = op.node.attributes.integer("heads", 0);
  const std::int64_t width = op.node.attributes.integer("width", 0);
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (heads < 1 || heads > kMost || width < 1 || width > kMost)
    return op_error(op, "parameters 'heads' and 'width' are missing or out of range");
  const std::uint64_t row = static_cast<std::uint64_t>(width);
  const std::uint64_t rows = scales.elements();
  if (rows % static_cast<std::uint64_t>(heads) != 0 || x.elements() % row != 0 ||
      x.elements() / row != rows || values.elements() != x.elements()) {
    return op_error(op, describe(op, true, 0) + ", " + describe(op, false, 0) + " and " +
                            describe(op, false, 1) + " do not have the stated heads and width");
  }
  return {};
}

RunFunction prepare_quantize(const Graph& graph, const Node& node, int) {
  constexpr std::size_t kGrain = 16 * 1024;  // elements
  const auto heads = static_cast<std::size_t>(node.attributes.integer("heads", 1));
  const auto width = static_cast<std::size_t>(node.attributes.integer("width", 1));
  const std::size_t rows = graph.tensors[static_cast<std::size_t>(node.outputs[1])].elements();
  const std::size_t tokens = rows / heads;
  const bool by_token = node.attributes.integer("by_token", 0) != 0;
  return [=, from = node.inputs[0], values = node.outputs[0],
          scales = node.outputs[1]](const Run& run) {
    const float* x = run.in<float>(from);
    auto* q = run.out<std::int8_t>(values);
    float* scale = run.out<float>(scales);
    parallel_ranges(run, rows, kGrain / width + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      for (std::size_t r = begin; r < end; ++r) {
                        const std::size_t at = by_token ? r % tokens * heads + r / tokens : r;
                        run.kernels.quantize_row(x + at * width, width, q + r * width, scale + r);
                      }
                    });
  };
}

}  // namespace

std::vector<OpDefinition> quantize_ops() {
  return {
      {.type = internal_op::kQuantizeRows, .check = check_quantize, .prepare = prepare_quantize}};
}

}  // namespace qhx::cpu
