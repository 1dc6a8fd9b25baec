// The rows of keys and values that leave as int8. What a client writes for rows x of width D:
//
//   largest = ReduceMax(Abs(x)), at least kLeastRow      scale = largest * (1 / 127)
//   values  = Cast(Round(x / scale))
//
// becomes qhx.QuantizeRows, which writes the values and, where a view of the scale is an output,
// the scales too. Products Round(x / scale) * scale, which are what those stand for, are then made
// from the values and the scales, so that attention can read them where they are.
#include "graph/rewrite.h"
#include "ops/op.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

const Node* unary(const Uses& uses, int tensor, qnn::Unary operation) {
  const Node* node = uses.producer(tensor, "ElementWiseUnary");
  return node != nullptr && unary_operation(*node) == operation ? node : nullptr;
}

const Node* binary(const Uses& uses, int tensor, qnn::Binary operation) {
  const Node* node = uses.producer(tensor, "ElementWiseBinary");
  return node != nullptr && binary_operation(*node) == operation ? node : nullptr;
}

bool is_number(Graph& graph, int tensor, float number, const ConstantTools& tools) {
  const Tensor& t = tensor_at(graph, tensor);
  if (!t.is_static() || t.constant == nullptr || !t.is_float() || t.elements() != 1) return false;
  const std::shared_ptr<const Blob> values = t.constant->as_f32(tools);
  return *reinterpret_cast<const float*>(values->bytes().data()) == number;
}

// Whether `scale` is that of the rows of x.
bool is_row_scale(Graph& graph, const Uses& uses, int scale, int x, const ConstantTools& tools) {
  const Node* times = binary(uses, scale, qnn::Binary::kMultiply);
  if (times == nullptr || !is_number(graph, times->inputs[1], 1.0f / 127.0f, tools)) return false;
  const Node* clamp = binary(uses, times->inputs[0], qnn::Binary::kMaximum);
  if (clamp == nullptr || !is_number(graph, clamp->inputs[1], kLeastRow, tools)) return false;
  const Node* largest = uses.producer(clamp->inputs[0], "ReduceMax");
  if (largest == nullptr || largest->attributes.integer("keep_dims", 0) == 0) return false;
  const auto* axes = largest->attributes.list("axes");
  const auto last = static_cast<std::int64_t>(tensor_at(graph, x).dims.size()) - 1;
  if (axes == nullptr || *axes != std::vector<std::int64_t>{last}) return false;
  const Node* magnitude = unary(uses, largest->inputs[0], qnn::Unary::kAbs);
  return magnitude != nullptr && magnitude->inputs[0] == x;
}

// The node that copies `scale` to an output of the graph; -1 if there is none.
int view_to_output(const Graph& graph, int scale) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.type == "Reshape" && node.inputs[0] == scale &&
        tensor_at(graph, node.outputs[0]).role == Role::kOutput)
      return static_cast<int>(n);
  }
  return -1;
}

// A Reshape of `from` to the shape of `like`.
int add_view(Graph& graph, int from, int like, std::size_t& at) {
  const int view = add_native(graph, like, "/view");
  graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(at++),
                     {.name = tensor_at(graph, view).name,
                      .type = "Reshape",
                      .attributes = {},
                      .inputs = {from},
                      .outputs = {view}});
  return view;
}

// Lets products of the rounded rows with their scale after the node at `made`, which writes them
// out, read what it wrote.
void read_what_was_written(Graph& graph, std::size_t made, int rounded, int scale) {
  const int values = graph.nodes[made].outputs[0], scales = graph.nodes[made].outputs[1];
  for (std::size_t at = made + 1; at < graph.nodes.size(); ++at) {
    const Node& product = graph.nodes[at];
    if (product.type != "ElementWiseBinary" ||
        binary_operation(product) != qnn::Binary::kMultiply ||
        product.inputs != std::vector<int>{rounded, scale})
      continue;
    const int wide = add_native(graph, values, "/f32");
    tensor_at(graph, wide).dtype = DType::kF32;
    graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(at++),
                       {.name = tensor_at(graph, wide).name,
                        .type = "Cast",
                        .attributes = {},
                        .inputs = {values},
                        .outputs = {wide}});
    const int integers = add_view(graph, wide, rounded, at);
    const int factors = add_view(graph, scales, scale, at);
    graph.nodes[at].inputs = {integers, factors};
  }
}

bool fuse_at(Graph& graph, std::size_t at, const ConstantTools& tools) {
  const Uses uses(graph);
  const Node& cast = graph.nodes[at];
  if (tensor_at(graph, cast.outputs[0]).dtype != DType::kI8) return false;
  const Node* rounded = unary(uses, uses.strip(cast.inputs[0]), qnn::Unary::kRound);
  if (rounded == nullptr) return false;
  const Node* ratio = binary(uses, rounded->inputs[0], qnn::Binary::kDivide);
  if (ratio == nullptr) return false;
  const int x = ratio->inputs[0], scale = ratio->inputs[1], integers = rounded->outputs[0];
  const Dims dims = tensor_at(graph, x).dims;
  if (dims.size() != 4 || dims[0] != 1 || !is_row_scale(graph, uses, scale, x, tools)) return false;
  const int source = untransposed(graph, uses, x, dims[1], dims[2]);
  const int view = view_to_output(graph, scale);
  Node fused{.name = cast.name,
             .type = std::string(internal_op::kQuantizeRows),
             .attributes = {},
             .inputs = {source >= 0 ? source : x},
             .outputs = {cast.outputs[0], -1}};
  fused.attributes.ints["heads"] = {dims[1]};
  fused.attributes.ints["width"] = {dims[3]};
  fused.attributes.ints["by_token"] = {source >= 0};
  if (view < 0) {
    fused.outputs[1] = add_native(graph, scale, "/rows");
    graph.nodes[at] = std::move(fused);
    read_what_was_written(graph, at, integers, scale);
    return true;
  }
  // Both places come after what makes x; nothing may read the outputs before the first of them.
  fused.outputs[1] = graph.nodes[static_cast<std::size_t>(view)].outputs[0];
  const std::size_t first = std::min(at, static_cast<std::size_t>(view));
  graph.nodes[first] = std::move(fused);
  graph.nodes.erase(graph.nodes.begin() +
                    std::max(static_cast<std::ptrdiff_t>(at), std::ptrdiff_t{view}));
  read_what_was_written(graph, first, integers, scale);
  return true;
}

}  // namespace

void fuse_quantize(Graph& graph, const ConstantTools& tools) {
  for (std::size_t i = 0; i < graph.nodes.size();) {
    if (graph.nodes[i].type == "Cast" && fuse_at(graph, i, tools))
      continue;  // another node is at i
    ++i;
  }
}

}  // namespace qhx::cpu
