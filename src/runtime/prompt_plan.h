// How a prompt is cut into calls of the decoder graphs.
#pragma once

#include <vector>

#include "base/status.h"
#include "runtime/text_spec.h"

namespace qhx::runtime {

// One execution: `count` tokens from `first` on, through graph `graph` of TextSpec::graphs.
struct Chunk {
  std::size_t first = 0;
  std::size_t count = 0;
  std::size_t graph = 0;
  bool operator==(const Chunk&) const = default;
};

struct PromptPlan {
  std::size_t start = 0;  // tokens before are in the cache and stay
  std::vector<Chunk> chunks;
};

// The cheapest way to run `tokens` (at least 1) of which `common` are in the cache already; the
// last one always runs, for its hidden state. `images_end` is one past the last image token, 0
// without any. kUnsupported if image tokens would have to go through a decode graph although the
// prefill graphs take deepstack rows.
//
// A call costs as much as its rows, used or not, and TextSpec::call_cost further ones. Of the
// graphs with the same rows the one with the smallest context that fits is taken. Prompts go
// through prefill graphs as long as one fits; but the last TextSpec::decode_tail tokens, if no
// picture is among them, and what no prefill graph fits go through decode one by one. Everything in
// the cache stays, unless prefill graphs that do not reach so far would be quicker from further
// back.
Result<PromptPlan> plan_prompt(const TextSpec& spec, std::size_t tokens, std::size_t common,
                               std::size_t images_end);

}  // namespace qhx::runtime
