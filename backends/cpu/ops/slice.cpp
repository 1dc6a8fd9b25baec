// Split and StridedSlice.
#include <array>

#include "ops/all.h"
#include "ops/strided.h"

namespace qhx::cpu {
namespace {

const Tensor& tensor(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

// ---- Split ----

Status check_split(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_params(op, {"axis", "split_index"}));
  const auto* starts = op.node.attributes.list("split_index");
  if (starts == nullptr) return op_error(op, "parameter 'split_index' is required");
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, starts->size() + 1));
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  const Dims& x = op.inputs[0]->dims;
  const std::int64_t axis = op.node.attributes.integer("axis", 0);
  if (axis < 0 || axis >= static_cast<std::int64_t>(x.size()))
    return op_error(op, "parameter 'axis' is out of range");
  const std::int64_t size = x[static_cast<std::size_t>(axis)];
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    const std::int64_t end = i < starts->size() ? (*starts)[i] : size;
    if (end <= begin || end > size) {
      return op_error(
          op, "parameter 'split_index': expected rising starts inside " + std::to_string(size));
    }
    Dims expected = x;
    expected[static_cast<std::size_t>(axis)] = static_cast<std::uint32_t>(end - begin);
    QHX_RETURN_IF_ERROR(expect_output_dims(op, i, expected));
    begin = end;
  }
  return {};
}

RunFunction prepare_split(const Graph& graph, const Node& node, int) {
  const Tensor& x = tensor(graph, node.inputs[0]);
  const auto axis = static_cast<std::size_t>(node.attributes.integer("axis", 0));
  const std::vector<std::int64_t> strides = dense_strides(x.dims);
  std::vector<RunFunction> copies;
  std::int64_t begin = 0;
  for (const int output : node.outputs) {
    const Tensor& y = tensor(graph, output);
    const StridedWalk walk{.dims = {y.dims.begin(), y.dims.end()},
                           .strides = strides,
                           .offset = begin * strides[axis]};
    copies.push_back(strided_copy(node.inputs[0], output, walk, size_bytes(x.dtype)));
    begin += y.dims[axis];
  }
  return [copies = std::move(copies)](const Run& run) {
    for (const RunFunction& copy : copies) copy(run);
  };
}

// ---- StridedSlice ----

constexpr std::array<std::string_view, 4> kMasks = {"begin_mask", "end_mask", "shrink_axes",
                                                    "new_axes_mask"};

struct Range {
  std::int64_t begin, stride, count;
};

// Range of axis `d`: count 0 if it selects nothing or leaves the dimension.
Range range_of(const std::vector<std::int64_t>& ranges, std::size_t d, std::int64_t size) {
  const std::int64_t begin = ranges[3 * d], end = ranges[3 * d + 1], stride = ranges[3 * d + 2];
  constexpr std::int64_t kMostStride = std::int64_t{1} << 32;  // as far as any dimension reaches
  if (stride == 0 || stride < -kMostStride || stride > kMostStride || begin < 0 || begin >= size ||
      end < -1 || end > size)
    return {0, 0, 0};
  const std::int64_t distance = stride > 0 ? end - begin : begin - end;
  const std::int64_t step = stride > 0 ? stride : -stride;
  return {begin, stride, distance <= 0 ? 0 : (distance + step - 1) / step};
}

Status check_strided_slice(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"ranges", kMasks[0], kMasks[1], kMasks[2], kMasks[3]}));
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  for (const std::string_view mask : kMasks) {
    if (op.node.attributes.integer(mask, 0) != 0) {
      return op_error(op, "parameter '" + std::string(mask) + "': only 0 is supported");
    }
  }
  const Dims& x = op.inputs[0]->dims;
  const auto* ranges = op.node.attributes.list("ranges");
  if (ranges == nullptr || ranges->size() != 3 * x.size()) {
    return op_error(op, "parameter 'ranges': expected [" + std::to_string(x.size()) + ", 3]");
  }
  Dims expected;
  for (std::size_t d = 0; d < x.size(); ++d) {
    const Range range = range_of(*ranges, d, x[d]);
    if (range.count == 0)
      return op_error(op, "parameter 'ranges': nothing selected on axis " + std::to_string(d));
    expected.push_back(static_cast<std::uint32_t>(range.count));
  }
  return expect_output_dims(op, 0, expected);
}

RunFunction prepare_strided_slice(const Graph& graph, const Node& node, int) {
  const Tensor& x = tensor(graph, node.inputs[0]);
  const std::vector<std::int64_t> strides = dense_strides(x.dims);
  StridedWalk walk;
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    const Range range = range_of(*node.attributes.list("ranges"), d, x.dims[d]);
    walk.dims.push_back(static_cast<std::uint64_t>(range.count));
    walk.strides.push_back(range.stride * strides[d]);
    walk.offset += range.begin * strides[d];
  }
  return strided_copy(node.inputs[0], node.outputs[0], walk, size_bytes(x.dtype));
}

}  // namespace

std::vector<OpDefinition> slice_ops() {
  return {{.type = "Split", .check = check_split, .prepare = prepare_split},
          {.type = "StridedSlice", .check = check_strided_slice, .prepare = prepare_strided_slice}};
}

}  // namespace qhx::cpu
