// RmsNorm and LayerNorm over the last dimension.
#include "ops/all.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kGrainElements = 16 * 1024;

Status check_norm(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"epsilon", "axes"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0, 1, 2}));
  const Dims& x = op.inputs[0]->dims;
  const auto* axes = op.node.attributes.list("axes");
  if (axes == nullptr ||
      *axes != std::vector<std::int64_t>{static_cast<std::int64_t>(x.size()) - 1}) {
    return op_error(
        op, "parameter 'axes': expected the last axis, [" + std::to_string(x.size() - 1) + "]");
  }
  for (std::size_t i = 1; i < op.inputs.size(); ++i) {
    if (op.inputs[i] != nullptr) QHX_RETURN_IF_ERROR(expect_input_dims(op, i, {x.back()}));
  }
  return expect_output_dims(op, 0, x);
}

Status check_rms_norm(const OpView& op) {
  if (op.inputs.size() == 3)
    return op_error(op, "beta is not supported: expected inputs x and gamma");
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 2, 1));
  return check_norm(op);
}

Status check_layer_norm(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 3, 1));
  return check_norm(op);
}

struct NormPlan {
  int x, gamma = -1, beta = -1, y;
  std::uint64_t rows, width;
  float epsilon;
};

NormPlan make_plan(const Graph& graph, const Node& node) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  NormPlan plan{.x = node.inputs[0],
                .y = node.outputs[0],
                .rows = x.elements() / x.dims.back(),
                .width = x.dims.back(),
                .epsilon = static_cast<float>(node.attributes.number("epsilon", 1e-6))};
  if (node.inputs.size() > 1) plan.gamma = node.inputs[1];
  if (node.inputs.size() > 2) plan.beta = node.inputs[2];
  return plan;
}

template <typename Kernel>
RunFunction by_rows(const NormPlan& plan, Kernel kernel) {
  return [=](const Run& run) {
    const float* gamma = plan.gamma >= 0 ? run.in<float>(plan.gamma) : nullptr;
    const float* beta = plan.beta >= 0 ? run.in<float>(plan.beta) : nullptr;
    parallel_ranges(run, plan.rows, kGrainElements / plan.width + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      const RowsArgs rows{.x = run.in<float>(plan.x) + begin * plan.width,
                                          .x_stride = plan.width,
                                          .y = run.out<float>(plan.y) + begin * plan.width,
                                          .y_stride = plan.width,
                                          .rows = end - begin,
                                          .width = plan.width};
                      kernel(run.kernels, rows, gamma, beta, plan.epsilon);
                    });
  };
}

RunFunction prepare_rms_norm(const Graph& graph, const Node& node, int) {
  return by_rows(make_plan(graph, node),
                 [](const KernelTable& kernels, const RowsArgs& rows, const float* gamma,
                    const float*, float epsilon) { kernels.rms_norm(rows, gamma, epsilon); });
}

RunFunction prepare_layer_norm(const Graph& graph, const Node& node, int) {
  return by_rows(make_plan(graph, node), [](const KernelTable& kernels, const RowsArgs& rows,
                                            const float* gamma, const float* beta, float epsilon) {
    kernels.layer_norm(rows, gamma, beta, epsilon);
  });
}

}  // namespace

std::vector<OpDefinition> norm_ops() {
  return {{.type = "RmsNorm", .check = check_rms_norm, .prepare = prepare_rms_norm},
          {.type = "LayerNorm", .check = check_layer_norm, .prepare = prepare_layer_norm}};
}

}  // namespace qhx::cpu
