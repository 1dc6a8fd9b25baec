// Concat along one axis.
#include <cstring>

#include "ops/all.h"

namespace qhx::cpu {
namespace {

Status check_concat(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 64, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"axis"}));
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    if (op.inputs[i] == nullptr) return op_error(op, "input " + std::to_string(i) + " is required");
  }
  QHX_RETURN_IF_ERROR(expect_one_type(op));
  Dims expected = op.inputs[0]->dims;
  const std::int64_t axis = op.node.attributes.integer("axis", 0);
  if (axis < 0 || axis >= static_cast<std::int64_t>(expected.size())) {
    return op_error(op, "parameter 'axis': " + std::to_string(axis) + " is not an axis of " +
                            to_string(expected));
  }
  std::uint32_t& joined = expected[static_cast<std::size_t>(axis)];
  joined = 0;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    Dims dims = op.inputs[i]->dims;
    if (dims.size() != expected.size())
      return op_error(op, describe(op, true, i) + ": ranks differ");
    const std::uint64_t total = std::uint64_t{joined} + dims[static_cast<std::size_t>(axis)];
    if (total > 0xFFFFFFFFu) return op_error(op, "the joined dimension does not fit in 32 bits");
    joined = static_cast<std::uint32_t>(total);
    dims[static_cast<std::size_t>(axis)] = joined;
    if (dims != expected)
      return op_error(op, describe(op, true, i) + ": dimensions differ beside the axis");
  }
  return expect_output_dims(op, 0, expected);
}

struct Piece {
  int input;
  std::uint64_t row_bytes;  // contiguous in the input: its axis and everything after it
  std::uint64_t offset;     // of these in a row of the output
};

RunFunction prepare_concat(const Graph& graph, const Node& node, int) {
  const Tensor& y = graph.tensors[static_cast<std::size_t>(node.outputs[0])];
  const auto axis = static_cast<std::size_t>(node.attributes.integer("axis", 0));
  const std::uint64_t rows = product(y.dims, 0, axis), row_bytes = y.size_bytes() / rows;
  std::vector<Piece> pieces;
  std::uint64_t offset = 0;
  for (const int input : node.inputs) {
    const std::uint64_t bytes = graph.tensors[static_cast<std::size_t>(input)].size_bytes() / rows;
    pieces.push_back({input, bytes, offset});
    offset += bytes;
  }
  return [pieces, rows, row_bytes, to = node.outputs[0]](const Run& run) {
    std::byte* target = run.out<std::byte>(to);
    parallel_ranges(run, rows * pieces.size(), 32 * 1024 * pieces.size() / row_bytes + 1,
                    [&](std::size_t begin, std::size_t end, std::byte*) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const Piece& piece = pieces[i % pieces.size()];
                        const std::size_t row = i / pieces.size();
                        std::memcpy(target + row * row_bytes + piece.offset,
                                    run.in<std::byte>(piece.input) + row * piece.row_bytes,
                                    piece.row_bytes);
                      }
                    });
  };
}

}  // namespace

std::vector<OpDefinition> concat_ops() {
  return {{.type = "Concat", .check = check_concat, .prepare = prepare_concat}};
}

}  // namespace qhx::cpu
