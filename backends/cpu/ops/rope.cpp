// Rotary position embedding.
//
// RotaryEmbedding  x [1, heads, M, D], cos and sin [1, M, D / 2] (or [M, D / 2]).
// qhx.HeadRope     what finalize makes of Reshape, RmsNorm, Transpose, RotaryEmbedding over the
// output of a linear:
//   inputs x [tokens, heads, D] in any shape, gamma [D] (optional), cos, sin [tokens, D / 2] in any
//   shape; output [1, heads, tokens, D]. Attributes: epsilon, interleaved.
#include "ops/all.h"

namespace qhx::cpu {
namespace {

const Tensor& tensor(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

Status check_angles(const OpView& op, std::size_t input, std::uint64_t tokens,
                    std::uint32_t width) {
  const Tensor& angles = *op.inputs[input];
  if (width % 2 != 0)
    return op_error(op, "expected an even head dimension, found " + std::to_string(width));
  if (angles.dims.back() != width / 2 || angles.elements() != tokens * (width / 2)) {
    return op_error(op, describe(op, true, input) + ": expected [1, " + std::to_string(tokens) +
                            ", " + std::to_string(width / 2) + "]");
  }
  return {};
}

Status check_rotary(const OpView& op) {
  if (op.inputs.size() == 4)
    return op_error(op, "position ids are not supported: give cos and sin for each token");
  QHX_RETURN_IF_ERROR(expect_counts(op, 3, 3, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"interleaved"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0, 1, 2}));
  const Dims& x = op.inputs[0]->dims;
  if (x.size() != 4 || x[0] != 1)
    return op_error(op, describe(op, true, 0) + ": expected [1, heads, tokens, head_dim]");
  QHX_RETURN_IF_ERROR(check_angles(op, 1, x[2], x[3]));
  QHX_RETURN_IF_ERROR(check_angles(op, 2, x[2], x[3]));
  return expect_output_dims(op, 0, x);
}

Status check_head_rope(const OpView& op) {
  if (op.inputs.size() != 4 || op.outputs.size() != 1)
    return op_error(op, "expected 4 inputs and 1 output");
  for (const std::size_t i : {0u, 2u, 3u}) {
    if (op.inputs[i] == nullptr) return op_error(op, "input " + std::to_string(i) + " is required");
  }
  QHX_RETURN_IF_ERROR(expect_params(op, {"epsilon", "interleaved"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0, 1, 2, 3}));
  const Dims& y = op.outputs[0]->dims;
  if (y.size() != 4 || y[0] != 1)
    return op_error(op, describe(op, false, 0) + ": expected [1, heads, tokens, head_dim]");
  if (op.inputs[0]->elements() != op.outputs[0]->elements()) {
    return op_error(op, describe(op, true, 0) + ": expected as many elements as the output");
  }
  if (op.inputs[1] != nullptr) QHX_RETURN_IF_ERROR(expect_input_dims(op, 1, {y[3]}));
  QHX_RETURN_IF_ERROR(check_angles(op, 2, y[2], y[3]));
  return check_angles(op, 3, y[2], y[3]);
}

struct RopePlan {
  int x, gamma, cos, sin, y;
  std::size_t heads, tokens, width;
  std::size_t x_head, x_token;  // strides
  float epsilon;
  bool interleaved;
};

void run_rope(const Run& run, const RopePlan& plan, std::size_t head, std::size_t first,
              std::size_t count) {
  const std::size_t half = plan.width / 2;
  RopeArgs args{.rows = {.x = run.in<float>(plan.x) + head * plan.x_head + first * plan.x_token,
                         .x_stride = plan.x_token,
                         .y = run.out<float>(plan.y) + (head * plan.tokens + first) * plan.width,
                         .y_stride = plan.width,
                         .rows = count,
                         .width = plan.width},
                .cos = run.in<float>(plan.cos) + first * half,
                .sin = run.in<float>(plan.sin) + first * half,
                .angle_stride = half,
                .interleaved = plan.interleaved,
                .gamma = plan.gamma >= 0 ? run.in<float>(plan.gamma) : nullptr,
                .eps = plan.epsilon};
  if (plan.tokens == 1) {  // all heads of one token share its angles: one call
    args.rows.x_stride = plan.x_head;
    args.rows.rows = plan.heads;
    args.angle_stride = 0;
  }
  run.kernels.rope(args);
}

RunFunction run_plan(const RopePlan& plan) {
  return [plan](const Run& run) {
    if (plan.tokens == 1) {
      run_rope(run, plan, 0, 0, 1);
      return;
    }
    constexpr std::size_t kTokens = 64;
    const std::size_t blocks = (plan.tokens + kTokens - 1) / kTokens;
    parallel(run, blocks * plan.heads, [&](std::size_t i, std::byte*) {
      const std::size_t first = i / plan.heads * kTokens;
      run_rope(run, plan, i % plan.heads, first, std::min(kTokens, plan.tokens - first));
    });
  };
}

RopePlan make_plan(const Graph& graph, const Node& node) {
  const Dims& y = tensor(graph, node.outputs[0]).dims;
  return {.x = node.inputs[0],
          .gamma = -1,
          .cos = node.inputs[node.inputs.size() - 2],
          .sin = node.inputs[node.inputs.size() - 1],
          .y = node.outputs[0],
          .heads = y[1],
          .tokens = y[2],
          .width = y[3],
          .x_head = std::size_t{y[2]} * y[3],
          .x_token = y[3],
          .epsilon = static_cast<float>(node.attributes.number("epsilon", 0.0)),
          .interleaved = node.attributes.integer("interleaved", 0) != 0};
}

RunFunction prepare_rotary(const Graph& graph, const Node& node, int) {
  return run_plan(make_plan(graph, node));
}

RunFunction prepare_head_rope(const Graph& graph, const Node& node, int) {
  RopePlan plan = make_plan(graph, node);
  plan.gamma = node.inputs[1];
  plan.x_head = plan.width;
  plan.x_token = plan.heads * plan.width;
  return run_plan(plan);
}

}  // namespace

std::vector<OpDefinition> rope_ops() {
  return {{.type = "RotaryEmbedding", .check = check_rotary, .prepare = prepare_rotary},
          {.type = internal_op::kHeadRope, .check = check_head_rope, .prepare = prepare_head_rope}};
}

}  // namespace qhx::cpu
