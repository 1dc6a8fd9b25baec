// ReduceMean, ReduceSum and ReduceMax over any axes. Sums are accumulated in double; the largest of
// values among which is a NaN is NaN.
#include <cmath>

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

enum class Reduction { kMean, kSum, kMax };

float reduce(Reduction what, const float* base, const Axes& axes, std::uint64_t terms) {
  if (what == Reduction::kMax) {
    float high = base[0];
    for (std::uint64_t t = 1; t < terms && !std::isnan(high); ++t) {
      const float x = base[axes.offset(t)];
      if (!(x <= high)) high = x;
    }
    return high;
  }
  double sum = 0;
  for (std::uint64_t t = 0; t < terms; ++t) sum += base[axes.offset(t)];
  return static_cast<float>(what == Reduction::kMean ? sum * (1.0 / static_cast<double>(terms))
                                                     : sum);
}

RunFunction prepare(const Graph& graph, const Node& node, Reduction what) {
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
  return [=, from = node.inputs[0], to = node.outputs[0]](const Run& run) {
    const float* source = run.in<float>(from);
    float* y = run.out<float>(to);
    parallel_ranges(run, outputs, 16 * 1024 / terms + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      for (std::size_t i = begin; i < end; ++i)
                        y[i] = reduce(what, source + kept.offset(i), reduced, terms);
                    });
  };
}

RunFunction prepare_mean(const Graph& graph, const Node& node, int) {
  return prepare(graph, node, Reduction::kMean);
}
RunFunction prepare_sum(const Graph& graph, const Node& node, int) {
  return prepare(graph, node, Reduction::kSum);
}
RunFunction prepare_max(const Graph& graph, const Node& node, int) {
  return prepare(graph, node, Reduction::kMax);
}

}  // namespace

std::vector<OpDefinition> reduce_ops() {
  return {{.type = "ReduceMean", .check = check_reduce, .prepare = prepare_mean},
          {.type = "ReduceSum", .check = check_reduce, .prepare = prepare_sum},
          {.type = "ReduceMax", .check = check_reduce, .prepare = prepare_max}};
}

}  // namespace qhx::cpu
