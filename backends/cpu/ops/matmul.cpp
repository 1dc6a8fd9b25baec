// MatMul of two computed tensors, with batches that broadcast. (With a static weight it becomes
// qhx.Linear.)
#include "ops/all.h"
#include "ops/weights.h"

namespace qhx::cpu {
namespace {

constexpr std::uint64_t kMostMatrices = std::uint64_t{1} << 20;

struct Shape {
  bool a_transposed, b_transposed;
  std::uint32_t m, n, k, b_k;
};

Shape shape_of(const Tensor& a, const Tensor& b, const Attributes& attributes) {
  const bool at = attributes.integer("transpose_in0", 0) != 0;
  const bool bt = attributes.integer("transpose_in1", 0) != 0;
  return {.a_transposed = at,
          .b_transposed = bt,
          .m = a.dim_from_end(at ? 0 : 1),
          .n = b.dim_from_end(bt ? 1 : 0),
          .k = a.dim_from_end(at ? 1 : 0),
          .b_k = b.dim_from_end(bt ? 0 : 1)};
}

// Size of batch dimension d of a result with this rank: 0 if the operands' do not fit together.
std::uint32_t batch_dim(const Dims& a, const Dims& b, std::size_t rank, std::size_t d) {
  const auto at = [&](const Dims& dims) {
    return d + dims.size() < rank ? 1u : dims[d + dims.size() - rank];
  };
  if (at(a) == at(b) || at(b) == 1) return at(a);
  return at(a) == 1 ? at(b) : 0;
}

Status check_matmul(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 2, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"transpose_in0", "transpose_in1"}));
  const Tensor& a = *op.inputs[0];
  const Tensor& b = *op.inputs[1];
  if (a.dims.size() < 2 || b.dims.size() < 2)
    return op_error(op, "expected inputs of rank 2 or more");
  const Shape s = shape_of(a, b, op.node.attributes);
  if (s.k != s.b_k) {
    return op_error(op, describe(op, true, 1) + ": expected an inner dimension of " +
                            std::to_string(s.k) + ", found " + std::to_string(s.b_k));
  }
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  if (b.is_static()) {
    const std::size_t rank = b.dims.size();
    if (!b.is_float() && product(b.dims, 0, rank - 2) != 1) {
      return op_error(op, describe(op, true, 1) + ": a quantized weight must be one matrix");
    }
    QHX_RETURN_IF_ERROR(check_weight(op, {.input = 1,
                                          .k_axis = rank - (s.b_transposed ? 1 : 2),
                                          .n_axis = rank - (s.b_transposed ? 2 : 1),
                                          .groups_allowed = false}));
  } else {
    QHX_RETURN_IF_ERROR(expect_one_float_type(op, {1}));
  }
  const std::size_t rank = std::max(a.dims.size(), b.dims.size());
  Dims expected(rank);
  for (std::size_t d = 0; d + 2 < rank; ++d) {
    expected[d] = batch_dim(a.dims, b.dims, rank, d);
    if (expected[d] == 0)
      return op_error(op, describe(op, true, 1) + ": batch does not broadcast with input 0");
  }
  if (product(expected, 0, rank - 2) > kMostMatrices)
    return op_error(op, "the batch is larger than 2^20 matrices");
  expected[rank - 2] = s.m;
  expected[rank - 1] = s.n;
  return expect_output_dims(op, 0, expected);
}

// Element offsets of each matrix of the batch in an operand.
std::vector<std::uint64_t> batch_offsets(const Dims& operand, const Dims& result) {
  const std::size_t rank = result.size(), lead = rank - operand.size();
  std::vector<std::uint64_t> offsets(product(result, 0, rank - 2), 0);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    std::uint64_t rest = i, stride = product(operand, operand.size() - 2, operand.size());
    for (std::size_t d = rank - 2; d-- > lead;) {
      const std::uint64_t index = rest % result[d];
      rest /= result[d];
      if (operand[d - lead] != 1) offsets[i] += index * stride;
      stride *= operand[d - lead];
    }
  }
  return offsets;
}

struct MatmulPlan {
  int a, b, c;
  Shape shape;
  std::vector<std::uint64_t> a_offsets, b_offsets;
  std::vector<Slice> slices;  // of one matrix
};

void split(MatmulPlan& plan, std::size_t threads) {
  const std::size_t panels = panel_count(plan.shape.n);
  const std::size_t wanted = (3 * threads + plan.a_offsets.size() - 1) / plan.a_offsets.size();
  // A transposed left operand is turned once for each slice, so it is not cut.
  const std::size_t blocks =
      plan.shape.a_transposed ? 1 : std::clamp<std::size_t>(wanted, 1, (panels + 7) / 8);
  for (std::size_t i = 0; i < blocks; ++i) {
    plan.slices.push_back({.row_end = plan.shape.m,
                           .panel_begin = panels * i / blocks,
                           .panel_end = panels * (i + 1) / blocks});
  }
}

void run_slice(const Run& run, const MatmulPlan& plan, std::size_t matrix, const Slice& slice,
               std::byte* scratch) {
  const Shape& s = plan.shape;
  MatmulArgs args{.a = run.in<float>(plan.a) + plan.a_offsets[matrix],
                  .a_stride = s.k,
                  .b = run.in<float>(plan.b) + plan.b_offsets[matrix],
                  .b_stride = s.b_transposed ? s.k : s.n,
                  .b_transposed = s.b_transposed,
                  .c = run.out<float>(plan.c) + matrix * s.m * s.n,
                  .c_stride = s.n,
                  .n = s.n,
                  .k = s.k};
  if (s.a_transposed) {
    auto* turned = reinterpret_cast<float*>(scratch);
    run.kernels.transpose(args.a, s.m, turned, s.k, s.k, s.m);
    args.a = turned;
    scratch += (std::uint64_t{s.m} * s.k * sizeof(float) + 63) / 64 * 64;
  }
  run.kernels.matmul(args, slice, scratch);
}

const Tensor& tensor(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

RunFunction prepare_matmul(const Graph& graph, const Node& node, int threads) {
  const Tensor& a = tensor(graph, node.inputs[0]);
  const Tensor& b = tensor(graph, node.inputs[1]);
  const Dims& result = tensor(graph, node.outputs[0]).dims;
  MatmulPlan plan{.a = node.inputs[0],
                  .b = node.inputs[1],
                  .c = node.outputs[0],
                  .shape = shape_of(a, b, node.attributes),
                  .a_offsets = batch_offsets(a.dims, result),
                  .b_offsets = batch_offsets(b.dims, result),
                  .slices = {}};
  split(plan, static_cast<std::size_t>(threads));
  return [plan = std::move(plan)](const Run& run) {
    const std::size_t slices = plan.slices.size();
    parallel(run, plan.a_offsets.size() * slices, [&](std::size_t i, std::byte* scratch) {
      run_slice(run, plan, i / slices, plan.slices[i % slices], scratch);
    });
  };
}

std::size_t matmul_scratch(const Graph& graph, const Node& node, const KernelTable& kernels) {
  const Shape s =
      shape_of(tensor(graph, node.inputs[0]), tensor(graph, node.inputs[1]), node.attributes);
  const std::size_t turned =
      s.a_transposed ? (std::uint64_t{s.m} * s.k * sizeof(float) + 63) / 64 * 64 : 0;
  return kernels.gemm_scratch_bytes + turned;
}

}  // namespace

std::vector<OpDefinition> matmul_ops() {
  return {{.type = "MatMul",
           .check = check_matmul,
           .prepare = prepare_matmul,
           .scratch_bytes = matmul_scratch}};
}

}  // namespace qhx::cpu
