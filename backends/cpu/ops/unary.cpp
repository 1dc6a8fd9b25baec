// Functions of one element: Gelu (erf form), ElementWiseNeuron, ElementWiseUnary, qhx.Silu.
#include <cmath>

#include "ops/all.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kGrain = 8 * 1024;

// QNN's numbers of the operations that these ops know.
namespace neuron {
enum : std::int64_t {
  kElu,
  kGelu,
  kHardSigmoid,
  kHardSwish,
  kRelu,
  kReluMinMax,
  kSigmoid,
  kSoftplus,
  kTanh
};
}
namespace unary {
enum : std::int64_t {
  kAbs = 0,
  kCos = 4,
  kExp = 5,
  kNegate = 8,
  kRsqrt = 12,
  kSin = 14,
  kSqrt = 15
};
}

Status check_elementwise(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  return expect_output_dims(op, 0, op.inputs[0]->dims);
}

Status check_plain(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {}));
  return check_elementwise(op);
}

Status check_neuron(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"operation", "alpha", "beta", "min_value", "max_value"}));
  const std::int64_t operation = op.node.attributes.integer("operation", -1);
  if (operation < neuron::kElu || operation > neuron::kTanh) {
    return op_error(op,
                    "parameter 'operation': expected 0 to 8, found " + std::to_string(operation));
  }
  return check_elementwise(op);
}

Status check_unary(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"operation"}));
  const std::int64_t operation = op.node.attributes.integer("operation", -1);
  switch (operation) {
    case unary::kAbs:
    case unary::kCos:
    case unary::kExp:
    case unary::kNegate:
    case unary::kRsqrt:
    case unary::kSin:
    case unary::kSqrt:
      return check_elementwise(op);
    default:
      return op_error(op, "parameter 'operation': unsupported value " + std::to_string(operation));
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
  switch (node.attributes.integer("operation", 0)) {
    case neuron::kElu:
      return by_element(graph, node, [a = parameter("alpha", 1.0)](float x) {
        return x > 0 ? x : a * std::expm1(x);
      });
    case neuron::kGelu:
      return by_kernel(graph, node, UnaryOp::kGeluTanh);
    case neuron::kHardSigmoid:
      return by_element(graph, node,
                        [a = parameter("alpha", 0.2), b = parameter("beta", 0.5)](float x) {
                          return std::fmax(0.0f, std::fmin(1.0f, a * x + b));
                        });
    case neuron::kHardSwish:
      return by_element(graph, node, [](float x) {
        return x * std::fmax(0.0f, std::fmin(6.0f, x + 3.0f)) / 6.0f;
      });
    case neuron::kRelu:
      return by_kernel(graph, node, UnaryOp::kRelu);
    case neuron::kReluMinMax:
      return by_element(
          graph, node,
          [least = parameter("min_value", 0.0), most = parameter("max_value", HUGE_VAL)](float x) {
            return std::fmax(least, std::fmin(most, x));
          });
    case neuron::kSigmoid:
      return by_kernel(graph, node, UnaryOp::kSigmoid);
    case neuron::kSoftplus:
      return by_element(graph, node, [](float x) {
        return std::fmax(x, 0.0f) + std::log1p(std::exp(-std::fabs(x)));
      });
    default:
      return by_kernel(graph, node, UnaryOp::kTanh);
  }
}

RunFunction prepare_unary(const Graph& graph, const Node& node, int) {
  switch (node.attributes.integer("operation", 0)) {
    case unary::kAbs:
      return by_kernel(graph, node, UnaryOp::kAbs);
    case unary::kCos:
      return by_element(graph, node, [](float x) { return std::cos(x); });
    case unary::kExp:
      return by_kernel(graph, node, UnaryOp::kExp);
    case unary::kNegate:
      return by_kernel(graph, node, UnaryOp::kNeg);
    case unary::kRsqrt:
      return by_kernel(graph, node, UnaryOp::kRsqrt);
    case unary::kSin:
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
