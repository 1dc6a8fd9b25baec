// ElementWiseBinary with NumPy broadcasting, and qhx.SiluMul: silu(input 0) * input 1.
#include <cmath>

#include "ops/all.h"
#include "ops/operation.h"
#include "ops/strided.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kGrain = 8 * 1024;

using qnn::Binary;

bool is_comparison(Binary operation) {
  return operation == Binary::kEqual || operation == Binary::kGreater || operation == Binary::kLess;
}
bool is_known(Binary operation) {
  for (const Binary known :
       {Binary::kAdd, Binary::kDivide, Binary::kMaximum, Binary::kMinimum, Binary::kMultiply,
        Binary::kPower, Binary::kSquaredDifference, Binary::kSubtract}) {
    if (operation == known) return true;
  }
  return is_comparison(operation);
}

const Tensor& tensor(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

Status check_types(const OpView& op, Binary operation) {
  const DType type = op.inputs[0]->dtype;
  if (op.inputs[1]->dtype != type) {
    return op_error(
        op, describe(op, true, 1) + ": expected the type of input 0, " + std::string(name(type)));
  }
  const bool integer = type == DType::kI32;
  if (!integer && !op.inputs[0]->is_float())
    return op_error(op, describe(op, true, 0) + ": expected float or int32");
  if (integer && (operation == Binary::kDivide || operation == Binary::kPower)) {
    return op_error(
        op, "operation " + std::to_string(static_cast<int>(operation)) + " is for floats only");
  }
  const DType expected = is_comparison(operation) ? DType::kBool : type;
  if (op.outputs[0]->dtype != expected) {
    return op_error(op, describe(op, false, 0) + ": expected type " + std::string(name(expected)));
  }
  return {};
}

Status check_binary(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 2, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"operation"}));
  const Binary operation = binary_operation(op.node);
  if (!is_known(operation)) {
    return op_error(op, "parameter 'operation': unsupported value " +
                            std::to_string(op.node.attributes.integer("operation", -1)));
  }
  QHX_RETURN_IF_ERROR(check_types(op, operation));
  const Dims& a = op.inputs[0]->dims;
  const Dims& b = op.inputs[1]->dims;
  const std::size_t rank = std::max(a.size(), b.size());
  Dims expected(rank);
  for (std::size_t d = 0; d < rank; ++d) {
    const std::uint32_t da = d + a.size() < rank ? 1 : a[d + a.size() - rank];
    const std::uint32_t db = d + b.size() < rank ? 1 : b[d + b.size() - rank];
    if (da != db && da != 1 && db != 1) {
      return op_error(op, describe(op, true, 1) + ": does not broadcast with " + to_string(a));
    }
    expected[d] = std::max(da, db);
  }
  return expect_output_dims(op, 0, expected);
}

// The output's dimensions with the steps of both operands: rows along the last, which has steps of
// 0 or 1.
struct Broadcast {
  std::vector<std::uint64_t> dims;
  std::vector<std::int64_t> a, b;
};

std::vector<std::int64_t> broadcast_strides(const Dims& operand, const Dims& result) {
  const std::vector<std::int64_t> dense = dense_strides(operand);
  std::vector<std::int64_t> strides(result.size(), 0);
  const std::size_t lead = result.size() - operand.size();
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (operand[d] != 1) strides[d + lead] = dense[d];
  }
  return strides;
}

Broadcast make_broadcast(const Dims& a, const Dims& b, const Dims& result) {
  const auto sa = broadcast_strides(a, result), sb = broadcast_strides(b, result);
  Broadcast out;
  for (std::size_t d = 0; d < result.size(); ++d) {
    if (result[d] == 1) continue;
    const std::int64_t size = result[d];
    if (!out.dims.empty() && out.a.back() == sa[d] * size && out.b.back() == sb[d] * size) {
      out.dims.back() *= result[d];
      out.a.back() = sa[d];
      out.b.back() = sb[d];
    } else {
      out.dims.push_back(result[d]);
      out.a.push_back(sa[d]);
      out.b.push_back(sb[d]);
    }
  }
  if (out.dims.empty()) return {{1}, {0}, {0}};
  return out;
}

// Calls row(a offset, b offset, output offset, count) for pieces of rows, in parallel.
template <typename Row>
void for_rows(const Run& run, const Broadcast& shape, Row&& row) {
  const std::uint64_t width = shape.dims.back();
  std::uint64_t rows = 1;
  for (std::size_t d = 0; d + 1 < shape.dims.size(); ++d) rows *= shape.dims[d];
  if (rows == 1) {
    parallel_ranges(run, width, kGrain, [&](std::size_t begin, std::size_t end, std::byte*) {
      row(static_cast<std::int64_t>(begin) * shape.a.back(),
          static_cast<std::int64_t>(begin) * shape.b.back(), begin, end - begin);
    });
    return;
  }
  parallel_ranges(run, rows, kGrain / width + 1,
                  [&](std::size_t begin, std::size_t end, std::byte*) {
                    for (std::size_t r = begin; r < end; ++r) {
                      std::int64_t a = 0, b = 0;
                      std::uint64_t rest = r;
                      for (std::size_t d = shape.dims.size() - 1; d-- > 0;) {
                        const auto index = static_cast<std::int64_t>(rest % shape.dims[d]);
                        rest /= shape.dims[d];
                        a += index * shape.a[d];
                        b += index * shape.b[d];
                      }
                      row(a, b, r * width, width);
                    }
                  });
}

RunFunction by_kernel(const Node& node, const Broadcast& shape, BinaryOp op) {
  return [=, a = node.inputs[0], b = node.inputs[1], y = node.outputs[0]](const Run& run) {
    for_rows(
        run, shape, [&](std::int64_t a_at, std::int64_t b_at, std::size_t y_at, std::size_t count) {
          run.kernels.binary(op, run.in<float>(a) + a_at, static_cast<std::size_t>(shape.a.back()),
                             run.in<float>(b) + b_at, static_cast<std::size_t>(shape.b.back()),
                             run.out<float>(y) + y_at, count);
        });
  };
}

template <typename In, typename Out, typename F>
RunFunction by_element(const Node& node, const Broadcast& shape, F f) {
  return [=, a = node.inputs[0], b = node.inputs[1], y = node.outputs[0]](const Run& run) {
    for_rows(run, shape,
             [&](std::int64_t a_at, std::int64_t b_at, std::size_t y_at, std::size_t count) {
               const In* pa = run.in<In>(a) + a_at;
               const In* pb = run.in<In>(b) + b_at;
               Out* py = run.out<Out>(y) + y_at;
               for (std::size_t i = 0; i < count; ++i, pa += shape.a.back(), pb += shape.b.back()) {
                 py[i] = static_cast<Out>(f(*pa, *pb));
               }
             });
  };
}

template <typename T>
RunFunction compare(const Node& node, const Broadcast& shape, Binary operation) {
  using Out = std::uint8_t;
  switch (operation) {
    case Binary::kEqual:
      return by_element<T, Out>(node, shape, [](T a, T b) { return a == b; });
    case Binary::kGreater:
      return by_element<T, Out>(node, shape, [](T a, T b) { return a > b; });
    default:
      return by_element<T, Out>(node, shape, [](T a, T b) { return a < b; });
  }
}

// Integers wrap around.
RunFunction on_integers(const Node& node, const Broadcast& shape, Binary operation) {
  using I = std::int32_t;
  using U = std::uint32_t;
  switch (operation) {
    case Binary::kAdd:
      return by_element<U, U>(node, shape, [](U a, U b) { return a + b; });
    case Binary::kSubtract:
      return by_element<U, U>(node, shape, [](U a, U b) { return a - b; });
    case Binary::kMultiply:
      return by_element<U, U>(node, shape, [](U a, U b) { return a * b; });
    case Binary::kSquaredDifference:
      return by_element<U, U>(node, shape, [](U a, U b) { return (a - b) * (a - b); });
    case Binary::kMaximum:
      return by_element<I, I>(node, shape, [](I a, I b) { return std::max(a, b); });
    default:
      return by_element<I, I>(node, shape, [](I a, I b) { return std::min(a, b); });
  }
}

RunFunction on_floats(const Node& node, const Broadcast& shape, Binary operation) {
  switch (operation) {
    case Binary::kAdd:
      return by_kernel(node, shape, BinaryOp::kAdd);
    case Binary::kDivide:
      return by_kernel(node, shape, BinaryOp::kDiv);
    case Binary::kMaximum:
      return by_kernel(node, shape, BinaryOp::kMax);
    case Binary::kMinimum:
      return by_kernel(node, shape, BinaryOp::kMin);
    case Binary::kMultiply:
      return by_kernel(node, shape, BinaryOp::kMul);
    case Binary::kSubtract:
      return by_kernel(node, shape, BinaryOp::kSub);
    case Binary::kPower:
      return by_element<float, float>(node, shape, [](float a, float b) { return std::pow(a, b); });
    default:
      return by_element<float, float>(node, shape,
                                      [](float a, float b) { return (a - b) * (a - b); });
  }
}

RunFunction prepare_binary(const Graph& graph, const Node& node, int) {
  const Tensor& a = tensor(graph, node.inputs[0]);
  const Broadcast shape = make_broadcast(a.dims, tensor(graph, node.inputs[1]).dims,
                                         tensor(graph, node.outputs[0]).dims);
  const Binary operation = binary_operation(node);
  const bool integers = a.dtype == DType::kI32;
  if (is_comparison(operation)) {
    return integers ? compare<std::int32_t>(node, shape, operation)
                    : compare<float>(node, shape, operation);
  }
  return integers ? on_integers(node, shape, operation) : on_floats(node, shape, operation);
}

Status check_silu_mul(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 2, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0, 1}));
  QHX_RETURN_IF_ERROR(expect_input_dims(op, 1, op.inputs[0]->dims));
  return expect_output_dims(op, 0, op.inputs[0]->dims);
}

RunFunction prepare_silu_mul(const Graph& graph, const Node& node, int) {
  return [gate = node.inputs[0], up = node.inputs[1], y = node.outputs[0],
          count = tensor(graph, node.outputs[0]).elements()](const Run& run) {
    parallel_ranges(run, count, kGrain, [&](std::size_t begin, std::size_t end, std::byte*) {
      run.kernels.silu_mul(run.in<float>(gate) + begin, run.in<float>(up) + begin,
                           run.out<float>(y) + begin, end - begin);
    });
  };
}

}  // namespace

std::vector<OpDefinition> binary_ops() {
  return {{.type = "ElementWiseBinary", .check = check_binary, .prepare = prepare_binary},
          {.type = internal_op::kSiluMul, .check = check_silu_mul, .prepare = prepare_silu_mul}};
}

}  // namespace qhx::cpu
