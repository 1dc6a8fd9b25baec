// Functions of one element: Gelu (erf form), ElementWiseNeuron, ElementWiseUnary, qhx.Silu.
#include <cmath>

#include "ops/all.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kGrain = 8 * 1024;

using qnn::Neuron;
using qnn::Unary;

Status check_elementwise(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  return expect_output_dims(op, 0, op.inputs[0]->dims);
}

Status check_plain(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {}));
  return check_elementwise(op);
}

std::string operation_text(const OpView& op) {
  return std::to_string(op.node.attributes.integer("operation", -1));
}

Status check_neuron(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"operation", "alpha", "beta", "min_value", "max_value"}));
  if (neuron_operation(op.node) > Neuron::kTanh) {
    return op_error(op, "parameter 'operation': expected 0 to 8, found " + operation_text(op));
  }
  return check_elementwise(op);
}

Status check_unary(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"operation"}));
  switch (unary_operation(op.node)) {
    case Unary::kAbs:
    case Unary::kCos:
    case Unary::kExp:
    case Unary::kNegate:
    case Unary::kRound:
    case Unary::kRsqrt:
    case Unary::kSin:
    case Unary::kSqrt:
      return check_elementwise(op);
    default:
      return op_error(op, "parameter 'operation': unsupported value " + operation_text(op));
  }
}

std::uint64_t elements(const Graph& graph, const Node& node) {
  return graph.tensors[static_cast<std::size_t>(node.outputs[0])].elements();
}

RunFunction by_kernel(const Graph& graph, const Node& node, UnaryOp op) {
  return [op, from = node.inputs[0], to = node.outputs[0],
          count = elements(graph, node)](const Run& run) {
    parallel_ranges(run, count, kGrain, [&](std::size_t begin, std::size_t end, std::byte*) {
      run.kernels.unary(op, run.in<float>(from) + begin, run.out<float>(to) + begin, end - begin);
    });
  };
}

template <typename F>
RunFunction by_element(const Graph& graph, const Node& node, F f) {
  return [f, from = node.inputs[0], to = node.outputs[0],
          count = elements(graph, node)](const Run& run) {
    const float* x = run.in<float>(from);
    float* y = run.out<float>(to);
    parallel_ranges(run, count, kGrain, [&](std::size_t begin, std::size_t end, std::byte*) {
      for (std::size_t i = begin; i < end; ++i) y[i] = f(x[i]);
    });
  };
}

RunFunction prepare_neuron(const Graph& graph, const Node& node, int) {
  const auto parameter = [&](std::string_view name, double otherwise) {
    return static_cast<float>(node.attributes.number(name, otherwise));
  };
  switch (neuron_operation(node)) {
    case Neuron::kElu:
      return by_element(graph, node, [a = parameter("alpha", 1.0)](float x) {
        return x > 0 ? x : a * std::expm1(x);
      });
    case Neuron::kGelu:
      return by_kernel(graph, node, UnaryOp::kGeluTanh);
    case Neuron::kHardSigmoid:
      return by_element(graph, node,
                        [a = parameter("alpha", 0.2), b = parameter("beta", 0.5)](float x) {
                          return std::fmax(0.0f, std::fmin(1.0f, a * x + b));
                        });
    case Neuron::kHardSwish:
      return by_element(graph, node, [](float x) {
        return x * std::fmax(0.0f, std::fmin(6.0f, x + 3.0f)) / 6.0f;
      });
    case Neuron::kRelu:
      return by_kernel(graph, node, UnaryOp::kRelu);
    case Neuron::kReluMinMax:
      return by_element(
          graph, node,
          [least = parameter("min_value", 0.0), most = parameter("max_value", HUGE_VAL)](float x) {
            return std::fmax(least, std::fmin(most, x));
          });
    case Neuron::kSigmoid:
      return by_kernel(graph, node, UnaryOp::kSigmoid);
    case Neuron::kSoftplus:
      return by_element(graph, node, [](float x) {
        return std::fmax(x, 0.0f) + std::log1p(std::exp(-std::fabs(x)));
      });
    default:
      return by_kernel(graph, node, UnaryOp::kTanh);
  }
}

RunFunction prepare_unary(const Graph& graph, const Node& node, int) {
  switch (unary_operation(node)) {
    case Unary::kAbs:
      return by_kernel(graph, node, UnaryOp::kAbs);
    case Unary::kCos:
      return by_element(graph, node, [](float x) { return std::cos(x); });
    case Unary::kExp:
      return by_kernel(graph, node, UnaryOp::kExp);
    case Unary::kNegate:
      return by_kernel(graph, node, UnaryOp::kNeg);
    case Unary::kRound:
      return by_element(graph, node, [](float x) { return std::nearbyint(x); });
    case Unary::kRsqrt:
      return by_kernel(graph, node, UnaryOp::kRsqrt);
    case Unary::kSin:
      return by_element(graph, node, [](float x) { return std::sin(x); });
    default:
      return by_kernel(graph, node, UnaryOp::kSqrt);
  }
}

RunFunction prepare_gelu(const Graph& graph, const Node& node, int) {
  return by_kernel(graph, node, UnaryOp::kGeluErf);
}

RunFunction prepare_silu(const Graph& graph, const Node& node, int) {
  return by_kernel(graph, node, UnaryOp::kSilu);
}

}  // namespace

std::vector<OpDefinition> unary_ops() {
  return {{.type = "Gelu", .check = check_plain, .prepare = prepare_gelu},
          {.type = "ElementWiseNeuron", .check = check_neuron, .prepare = prepare_neuron},
          {.type = "ElementWiseUnary", .check = check_unary, .prepare = prepare_unary},
          {.type = internal_op::kSilu, .check = check_plain, .prepare = prepare_silu}};
}

}  // namespace qhx::cpu
