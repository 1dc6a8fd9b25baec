// ReduceMean and ReduceSum over any axes, accumulated in double.
#include "ops/all.h"
#include "ops/strided.h"

namespace qhx::cpu {
namespace {

bool reduces(const std::vector<std::int64_t>& axes, std::size_t d) {
  return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(d)) != axes.end();
}

Status check_reduce(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"axes", "keep_dims"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  const Dims& x = op.inputs[0]->dims;
  QHX_RETURN_IF_ERROR(expect_axes(op, x.size()));
  const bool keep = op.node.attributes.integer("keep_dims", 0) != 0;
  Dims expected;
  for (std::size_t d = 0; d < x.size(); ++d) {
    if (!reduces(*op.node.attributes.list("axes"), d)) {
      expected.push_back(x[d]);
    } else if (keep) {
      expected.push_back(1);
    }
  }
  if (expected.empty()) expected = {1};
  return expect_output_dims(op, 0, expected);
}

// Offsets of all elements reached by the chosen dimensions of a dense tensor.
struct Axes {
  std::vector<std::uint64_t> dims;
  std::vector<std::int64_t> strides;

  std::int64_t offset(std::uint64_t index) const {
    std::int64_t at = 0;
    for (std::size_t d = dims.size(); d-- > 0;) {
      at += static_cast<std::int64_t>(index % dims[d]) * strides[d];
      index /= dims[d];
    }
    return at;
  }
};

RunFunction prepare(const Graph& graph, const Node& node, bool mean) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const std::vector<std::int64_t> strides = dense_strides(x.dims);
  Axes kept, reduced;
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    Axes& side = reduces(*node.attributes.list("axes"), d) ? reduced : kept;
    side.dims.push_back(x.dims[d]);
    side.strides.push_back(strides[d]);
  }
  const std::uint64_t outputs = graph.tensors[static_cast<std::size_t>(node.outputs[0])].elements();
  const std::uint64_t terms = x.elements() / outputs;
  const double factor = mean ? 1.0 / static_cast<double>(terms) : 1.0;
  return [=, from = node.inputs[0], to = node.outputs[0]](const Run& run) {
    const float* source = run.in<float>(from);
    float* y = run.out<float>(to);
    parallel_ranges(run, outputs, 16 * 1024 / terms + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const float* base = source + kept.offset(i);
                        double sum = 0;
                        for (std::uint64_t t = 0; t < terms; ++t) sum += base[reduced.offset(t)];
                        y[i] = static_cast<float>(sum * factor);
                      }
                    });
  };
}

RunFunction prepare_mean(const Graph& graph, const Node& node, int) {
  return prepare(graph, node, true);
}
RunFunction prepare_sum(const Graph& graph, const Node& node, int) {
  return prepare(graph, node, false);
}

}  // namespace

std::vector<OpDefinition> reduce_ops() {
  return {{.type = "ReduceMean", .check = check_reduce, .prepare = prepare_mean},
          {.type = "ReduceSum", .check = check_reduce, .prepare = prepare_sum}};
}

}  // namespace qhx::cpu
