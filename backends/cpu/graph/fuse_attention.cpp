#include <optional>

#include "graph/rewrite.h"
#include "ops/op.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

struct Match {
  std::size_t at = 0;  // the second MatMul
  int q = -1, k = -1, v = -1, mask = -1;
  double beta = 1.0;
  std::uint64_t kv_heads = 0, rows = 0, columns = 0, head_dim = 0;
  std::uint64_t heads = 1, tokens = 0;  // rows = heads * tokens
};

bool is_plain_matmul(const Node* node, bool transposed) {
  return node != nullptr && node->type == "MatMul" &&
         node->attributes.integer("transpose_in0", 0) == 0 &&
         (node->attributes.integer("transpose_in1", 0) != 0) == transposed;
}

// Splits off the mask: scores = MatMul + mask. False if there is an addition that is not
// understood.
bool match_mask(const Graph& graph, const Uses& uses, int& scores, Match& match) {
  const Node* add = uses.producer(scores, "ElementWiseBinary");
  if (add == nullptr) return true;
  if (binary_operation(*add) != qnn::Binary::kAdd) return false;
  const std::size_t side = uses.producer(add->inputs[0], "MatMul") != nullptr ? 0 : 1;
  match.mask = add->inputs[1 - side];
  scores = add->inputs[side];
  if (!uses.read_once(scores)) return false;
  return tensor_at(graph, scores).dims == tensor_at(graph, add->outputs[0]).dims;
}

// Shapes [1, G, rows, D] x [1, G, columns, D] -> [1, G, rows, columns]; no broadcasting.
bool match_shapes(const Graph& graph, Match& match) {
  const Dims& q = tensor_at(graph, match.q).dims;
  const Dims& k = tensor_at(graph, match.k).dims;
  const Dims& v = tensor_at(graph, match.v).dims;
  if (q.size() != 4 || k.size() != 4 || k != v || q[0] != 1 || k[0] != 1 || q[1] != k[1] ||
      q[3] != k[3])
    return false;
  match.kv_heads = q[1];
  match.rows = match.tokens = q[2];
  match.columns = k[2];
  match.head_dim = q[3];
  return true;
}

std::optional<Match> match_at(const Graph& graph, const Uses& uses, std::size_t at) {
  Match match{.at = at};
  const Node& last = graph.nodes[at];
  if (!is_plain_matmul(&last, false)) return std::nullopt;
  const Node* softmax = uses.producer(last.inputs[0], "Softmax");
  if (softmax == nullptr || !uses.read_once(last.inputs[0]) || !uses.read_once(softmax->inputs[0]))
    return std::nullopt;
  match.beta = softmax->attributes.number("beta", 1.0);
  int scores = softmax->inputs[0];
  if (!match_mask(graph, uses, scores, match)) return std::nullopt;
  const Node* first = uses.producer(scores);
  if (!is_plain_matmul(first, true)) return std::nullopt;
  match.q = first->inputs[0];
  match.k = first->inputs[1];
  match.v = last.inputs[1];
  if (!match_shapes(graph, match)) return std::nullopt;
  return match;
}

// The mask must be one matrix for all kv heads: either a row for each query row, or rows for the
// tokens, repeated for each query head by a Tile.
bool resolve_mask(const Graph& graph, const Uses& uses, Match& match) {
  if (match.mask < 0) return true;
  const Dims& dims = tensor_at(graph, match.mask).dims;
  if (dims.size() < 2 || dims.back() != match.columns || dims[dims.size() - 2] != match.rows ||
      product(dims, 0, dims.size() - 2) != 1) {
    return false;
  }
  if (const Node* tile = uses.producer(match.mask, "Tile")) {
    const Dims& base = tensor_at(graph, tile->inputs[0]).dims;
    if (base.back() == match.columns) {
      match.tokens = base[base.size() - 2];
      match.heads = match.rows / match.tokens;
      match.mask = tile->inputs[0];
    }
  }
  match.mask = uses.strip(match.mask, /*casts=*/true);
  return true;
}

// Rows of keys or values; -1 where there are none. `scales`: of rows of bytes.
struct Rows {
  int values = -1, scales = -1;
};

// Whether attention can read the one as keys and the other as values.
bool alike(const Graph& graph, const Rows& keys, const Rows& values) {
  return (keys.scales < 0) == (values.scales < 0) &&
         tensor_at(graph, keys.values).dtype == tensor_at(graph, values.values).dtype;
}

// Where rows [1, G, rows, D] come from: bytes times a scale for each row are taken apart, halves
// are read where they are.
Rows source_of(const Graph& graph, const Uses& uses, int tensor) {
  const Rows floats{.values = uses.strip(tensor, /*casts=*/true)};
  const Node* product = uses.producer(uses.strip(tensor), "ElementWiseBinary");
  if (product == nullptr || binary_operation(*product) != qnn::Binary::kMultiply) return floats;
  const Node* cast = uses.producer(uses.strip(product->inputs[0]), "Cast");
  if (cast == nullptr || tensor_at(graph, cast->inputs[0]).dtype != DType::kI8) return floats;
  Dims rows = tensor_at(graph, product->outputs[0]).dims;
  const bool whole_rows = rows.back() == tensor_at(graph, tensor).dims.back() &&
                          rows == tensor_at(graph, product->inputs[0]).dims;
  rows.back() = 1;
  if (!whole_rows || tensor_at(graph, product->inputs[1]).dims != rows) return floats;
  return {cast->inputs[0], uses.strip(product->inputs[1])};
}

// Past and new part of keys or values.
struct CacheParts {
  Rows past, fresh;
  int fresh_floats = -1;  // the new part as floats, [1, G, rows, D]
};

CacheParts whole(int tensor) { return {.past = {}, .fresh = {tensor, -1}, .fresh_floats = tensor}; }

// Takes apart what a Concat joined along the rows.
CacheParts split_cache(const Graph& graph, const Uses& uses, int joined) {
  const Node* concat = uses.producer(joined, "Concat");
  if (concat == nullptr || concat->inputs.size() != 2 || concat->attributes.integer("axis", 0) != 2)
    return whole(joined);
  CacheParts parts = whole(concat->inputs[1]);
  parts.past = source_of(graph, uses, concat->inputs[0]);
  const Rows bytes = source_of(graph, uses, concat->inputs[1]);
  if (bytes.scales >= 0) parts.fresh = bytes;
  return parts;
}

// Where the output goes: past a Transpose to [1, tokens, heads, D] if that is all that reads it.
// Returns the index of that Transpose, or -1.
int output_transpose(const Graph& graph, const Uses& uses, const Match& match) {
  int tensor = graph.nodes[match.at].outputs[0];
  for (int reader = uses.sole_reader(tensor); reader >= 0; reader = uses.sole_reader(tensor)) {
    const Node& node = graph.nodes[static_cast<std::size_t>(reader)];
    if (node.type == "Reshape") {
      tensor = node.outputs[0];
      continue;
    }
    if (!swaps_heads_and_tokens(graph, node)) return -1;
    const Dims& dims = tensor_at(graph, node.inputs[0]).dims;
    return dims[3] == match.head_dim ? reader : -1;
  }
  return -1;
}

// Decides how rows split into heads and tokens; the output's Transpose may tell where no mask does.
bool fit_output(const Graph& graph, const Node& transpose, Match& match) {
  const Dims& dims = tensor_at(graph, transpose.inputs[0]).dims;  // [1, query heads, tokens, D]
  if (match.mask < 0 && dims[1] % match.kv_heads == 0 &&
      match.rows == dims[1] / match.kv_heads * dims[2]) {
    match.heads = dims[1] / match.kv_heads;
    match.tokens = dims[2];
  }
  return dims[1] == match.kv_heads * match.heads && dims[2] == match.tokens;
}

// The mask as the kernel adds it, to scores that are scaled already.
int scaled_mask(Graph& graph, std::size_t& at, int mask, double beta) {
  if (mask < 0 || beta == 1.0) return mask;
  for (std::size_t i = 0; i < at; ++i) {
    const Node& node = graph.nodes[i];
    if (node.type == internal_op::kScaleMask && node.inputs[0] == mask &&
        node.attributes.number("scale", 0.0) == beta) {
      return node.outputs[0];
    }
  }
  const int scaled = add_native(graph, mask, "/scaled");
  Node node{.name = tensor_at(graph, mask).name + "/scale",
            .type = std::string(internal_op::kScaleMask),
            .attributes = {},
            .inputs = {mask},
            .outputs = {scaled}};
  node.attributes.floats["scale"] = beta;
  graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(at), std::move(node));
  ++at;
  return scaled;
}

// Replaces the matched nodes. `transpose`: see output_transpose.
void apply(Graph& graph, const Uses& uses, Match match, int transpose) {
  CacheParts keys = split_cache(graph, uses, match.k);
  CacheParts values = split_cache(graph, uses, match.v);
  const bool both =
      keys.past.values >= 0 && values.past.values >= 0 && alike(graph, keys.past, values.past) &&
      tensor_at(graph, keys.fresh_floats).dims == tensor_at(graph, values.fresh_floats).dims;
  if (!both) {
    keys = whole(match.k);
    values = whole(match.v);
  }
  if (!alike(graph, keys.fresh, values.fresh)) {
    keys.fresh = {keys.fresh_floats, -1};
    values.fresh = {values.fresh_floats, -1};
  }
  const std::uint64_t fresh = tensor_at(graph, keys.fresh_floats).dims[2];
  const bool bytes = keys.fresh.scales >= 0;
  const int q = untransposed(graph, uses, match.q, match.kv_heads * match.heads, match.tokens);
  const int k = bytes ? -1 : untransposed(graph, uses, keys.fresh.values, match.kv_heads, fresh);
  const int v = bytes ? -1 : untransposed(graph, uses, values.fresh.values, match.kv_heads, fresh);

  const Node& last = graph.nodes[match.at];
  Node fused{.name = last.name,
             .type = std::string(internal_op::kAttention),
             .attributes = {},
             .inputs = {q >= 0 ? q : match.q, keys.past.values, k >= 0 ? k : keys.fresh.values,
                        values.past.values, v >= 0 ? v : values.fresh.values, -1},
             .outputs = last.outputs};
  if (keys.past.scales >= 0 || bytes) {
    fused.inputs.insert(fused.inputs.end(), {keys.past.scales, values.past.scales,
                                             keys.fresh.scales, values.fresh.scales});
  }
  auto& ints = fused.attributes.ints;
  ints["kv_heads"] = {static_cast<std::int64_t>(match.kv_heads)};
  ints["heads"] = {static_cast<std::int64_t>(match.heads)};
  ints["tokens"] = {static_cast<std::int64_t>(match.tokens)};
  ints["head_dim"] = {static_cast<std::int64_t>(match.head_dim)};
  ints["q_by_token"] = {q >= 0};
  ints["k_by_token"] = {k >= 0};
  ints["v_by_token"] = {v >= 0};
  ints["out_by_token"] = {transpose >= 0};
  fused.attributes.floats["scale"] = match.beta;
  if (transpose >= 0) {
    fused.outputs = graph.nodes[static_cast<std::size_t>(transpose)].outputs;
    graph.nodes.erase(graph.nodes.begin() + transpose);
  }
  std::size_t at = match.at;
  fused.inputs[5] = scaled_mask(graph, at, match.mask, match.beta);
  graph.nodes[at] = std::move(fused);
}

bool fuse_at(Graph& graph, std::size_t at) {
  const Uses uses(graph);
  std::optional<Match> match = match_at(graph, uses, at);
  if (!match || !resolve_mask(graph, uses, *match)) return false;
  int transpose = output_transpose(graph, uses, *match);
  if (transpose >= 0 &&
      !fit_output(graph, graph.nodes[static_cast<std::size_t>(transpose)], *match))
    transpose = -1;
  apply(graph, uses, *match, transpose);
  return true;
}

}  // namespace

void fuse_attention(Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].type == "MatMul") fuse_at(graph, i);
  }
}

}  // namespace qhx::cpu
