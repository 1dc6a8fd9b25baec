// The text model's sizes, found in its graphs and compared with what the manifest says.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/status.h"
#include "manifest/manifest.h"
#include "qnn/binary_info.h"
#include "runtime/executor.h"
#include "runtime/kv_cache.h"

namespace qhx::runtime {

// One graph of the decoder. It can run on top of at most `context` tokens; what it adds may lie
// beyond, in the place of a larger graph's cache.
struct DecoderShape {
  Role role = Role::kDecode;  // kDecode: one row; kPrefill: any number
  std::size_t index = 0;      // among the provider's graphs of the role
  std::size_t rows = 1;       // T
  std::size_t context = 0;    // C; 0: mask [T, T] and no past_k_i, for the first tokens only
  bool operator==(const DecoderShape&) const = default;
};

// T rows of a call, C rows of the cache, H hidden, D head_dim, G kv heads, i layer, W the width of
// the rotary tables (D / 2, or D where both halves are declared). Dimensions of 1 are ignored.
struct TextSpec {
  static constexpr std::size_t kDefaultCallCost = 20;

  std::size_t hidden = 0;
  std::size_t vocab = 0;
  std::size_t layers = 0;
  std::size_t head_dim = 0;
  std::size_t context = 0;           // the largest C: prompt and answer together
  std::vector<DecoderShape> graphs;  // C rising; at least one decode graph
  std::size_t deepstack = 0;         // deepstack_k inputs of the prefill graphs
  KvShape kv;
  double rope_theta = 0;
  std::array<int, 3> mrope_section = {0, 0, 0};
  std::size_t decode_tail = 0;
  // Graphs of up to so many rows compute as decode does, but for rounding: they can check guesses.
  std::size_t exact_rows = std::numeric_limits<std::size_t>::max();
  std::size_t call_cost = kDefaultCallCost;  // of a call besides its rows, in rows

  // Rows of the longest prefill call; 0 without prefill graphs.
  std::size_t prefill_rows() const;
  // The decode graph with the fewest cache rows that can run on top of `cached` tokens: its place
  // in `graphs`. QHX_CHECK: cached <= context.
  std::size_t decode_graph(std::size_t cached) const;
  // The fewest cache rows of a graph that hold `count` tokens. QHX_CHECK: count <= context.
  std::size_t context_for(std::size_t count) const;
};

// Graphs as described in docs/manifest.md. kCorrupt, naming graph, tensor and both values, where
// graphs and manifest or two graphs contradict each other; kUnsupported for graphs of another form.
// There must be a decode graph and a head (QHX_CHECK).
Result<TextSpec> make_text_spec(const manifest::Manifest& manifest, const GraphProvider& graphs);

// What the graphs call the features that the vision encoder gives and prefill takes: "deepstack_0"
// …
std::string deepstack_name(std::size_t k);

// What the graphs call the i-th tensor of a cache, behind "past_" and "new_": "k_0", "v_0", perhaps
// "k_scale_0", "v_scale_0", then "k_1" …
std::string kv_name(const KvShape& kv, std::size_t i);

// The tensor named `name`, or the only one of the list. Null if there is neither.
const qnn::TensorInfo* find_or_only(const std::vector<qnn::TensorInfo>& tensors,
                                    std::string_view name);

// Whether two shapes are equal, dimensions of 1 left out.
bool same_shape(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b);

// kCorrupt with both shapes unless the tensor (null: kCorrupt too) has the expected one. `where` is
// "graph x: input y", `why` names the manifest's keys.
Status expect_shape(const qnn::TensorInfo* tensor, const std::vector<std::uint32_t>& expected,
                    std::string_view where, std::string_view why);

}  // namespace qhx::runtime
