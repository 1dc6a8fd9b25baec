// The text decoder as QNN graphs: prefill and decode, perhaps in several lengths of chunks and of
// context, over one set of weights.
//
// Graph of T rows with C cache rows (H hidden, G kv heads, D head_dim, i layer):
//   inputs  x [T, H], cos, sin [T, D/2], mask [T, C+T] (added to the scores: 0, or a large negative
//           number where a row must not look), past_k_i, past_v_i [G, C, D] f16, and
//           deepstack_k [T, H] if the graph has them (zero rows at text positions)
//   outputs y [T, H] after the final norm, new_k_i, new_v_i [G, T, D] f16
// With KvFormat::kInt8 the cache is int8, and each of past_k_i … new_v_i has the scales of its rows
// beside it, past_k_scale_i … new_v_scale_i [G, C or T, 1] f32.
// Keys are stored after norm and rotation. Columns 0 … C-1 of the mask are the cache, the rest this
// call's rows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/arch/scale_plan.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// What a KV cache holds: halves, or int8 with a scale for each row of a head.
enum class KvFormat { kF16, kInt8 };

struct TextGraphSpec {
  std::string name;
  std::uint32_t rows = 1;          // T
  std::uint32_t context_rows = 0;  // C
  bool deepstack = false;          // takes the vision encoder's deepstack features
};

struct TextDecoderSpec {
  std::vector<TextGraphSpec> graphs;
  qnn::HtpGraphOptions htp;
  KvFormat kv = KvFormat::kF16;  // kInt8: with activations of 32 bits alone
};

// Builds all graphs of the spec at the same time, layer by layer: each weight is read once and
// given to every graph. Graphs come back finalized, in the spec's order.
Result<std::vector<qnn::Graph>> build_text_decoder(std::shared_ptr<qnn::Context> context,
                                                   const hf::ModelConfig& config,
                                                   const WeightLoader& weights,
                                                   const TextDecoderSpec& spec,
                                                   const ScalePlan& scales = {});

}  // namespace qhx::forge
