// Rewriting passes of graphFinalize: from the ops that a client added to those that run.
//
// A pass replaces the last node of what it recognises, so that inputs are always produced before,
// and leaves the other nodes alone: those that nobody reads any more are removed at the end, those
// that someone still reads keep working.
#pragma once

#include <array>
#include <vector>

#include "base/status.h"
#include "graph/constant.h"
#include "graph/ir.h"

namespace qhx::cpu {

// Turns `graph` into one that verify_executable accepts. Without `fuse` only what execution needs
// is done: f16 edges, packed weights.
Status rewrite(Graph& graph, bool fuse, const ConstantTools& tools);

// ---- The passes, in order. ----

// Holds every f16 tensor inside the graph as f32 and adds Casts at f16 inputs and outputs.
void widen_floats(Graph& graph);
// Conv2d, FullyConnected and MatMul with a static weight become qhx.Linear with a packed weight.
Status lower_linears(Graph& graph, const ConstantTools& tools);
// Casts that change nothing disappear.
void remove_identities(Graph& graph);
// Bias, activation and residual additions after a qhx.Linear move into it.
Status fuse_epilogues(Graph& graph, const ConstantTools& tools);
// x * sigmoid(x) [* y] becomes qhx.Silu or qhx.SiluMul.
void fuse_silu(Graph& graph);
// [RmsNorm], Transpose, RotaryEmbedding become qhx.HeadRope.
void fuse_head_rope(Graph& graph);
// Rows divided by a scale of their own, rounded and cast to int8 become qhx.QuantizeRows.
void fuse_quantize(Graph& graph, const ConstantTools& tools);
// MatMul, [Add mask], Softmax, MatMul become qhx.Attention, reading past keys and values, and new
// ones that have become int8, where the client has them.
void fuse_attention(Graph& graph);
// Transpose followed by a Cast to f16 writes f16 itself.
void fuse_transpose_cast(Graph& graph);
// qhx.Linear nodes that read one tensor become one node.
void group_linears(Graph& graph);
// Linears whose results reach a softmax, as queries and keys do, get the attribute precise: there a
// small error grows to a large one.
void mark_precise(Graph& graph);
// Nodes and tensors that lead to no output are dropped.
void remove_dead(Graph& graph);
// Static tensors that are left get the bytes that execution reads.
Status freeze_constants(Graph& graph, const ConstantTools& tools);

// ---- Helpers for passes. ----

inline Tensor& tensor_at(Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}
inline const Tensor& tensor_at(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

// Who makes and who reads each tensor. Describes the graph at construction.
class Uses {
 public:
  explicit Uses(const Graph& graph);

  // The node that makes a tensor; null for client and static tensors (and -1).
  const Node* producer(int tensor) const;
  // The producer if it is of this type.
  const Node* producer(int tensor, std::string_view type) const;
  // The index of the only node that reads the tensor; -1 if there are others, none, or the client
  // reads it.
  int sole_reader(int tensor) const;
  // Whether `tensor` is read once and not by the client.
  bool read_once(int tensor) const { return sole_reader(tensor) >= 0; }
  // Follows Reshape (and, with `casts`, Cast from f16) back to where the elements come from.
  int strip(int tensor, bool casts = false) const;

 private:
  const Graph* graph_;
  std::vector<int> producer_;
  std::vector<std::vector<int>> readers_;
};

// A new tensor inside the graph with the dimensions of `like`. Returns its index.
int add_native(Graph& graph, int like, std::string_view suffix);
// Replaces `from` by `to` in the inputs of all nodes.
void redirect_readers(Graph& graph, int from, int to);
// Whether a Transpose exchanges the middle axes of [1, a, b, D].
bool swaps_heads_and_tokens(const Graph& graph, const Node& node);
// The input of a Transpose that made `tensor`, [1, heads, rows, D], from [1, rows, heads, D];
// otherwise -1.
int untransposed(const Graph& graph, const Uses& uses, int tensor, std::uint64_t heads,
                 std::uint64_t rows);

// Places of one layer's operands among the inputs of qhx.Linear.
enum class LinearInput : std::size_t { kX = 0, kWeight = 1, kBias = 2, kResidual = 3 };
inline int& linear_input(Node& node, LinearInput which) {
  return node.inputs[static_cast<std::size_t>(which)];
}
inline int linear_input(const Node& node, LinearInput which) {
  return node.inputs[static_cast<std::size_t>(which)];
}

}  // namespace qhx::cpu
