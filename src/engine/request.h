// A prompt as the caller gives it, turned into token ids and places of pictures. Nothing here runs
// a graph.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "qhexrt/qhexrt.hpp"
#include "text/tokenizer.h"

namespace qhx::engine {

struct EncodedPrompt {
  std::vector<std::int32_t> ids;
  std::vector<text::TextRange> pictures;        // in ids: the image tokens of each
  std::vector<const qhexrt::Picture*> sources;  // of the prompt, in the same order
  std::vector<std::int32_t> positions;          // [3, ids]
  // Where a beginning ends that other prompts may share: the system message's end, and that of each
  // picture. Rising; empty if the engine has no cache folder.
  std::vector<std::size_t> shared_ends;
  std::int32_t position_delta =
      0;  // a token with s tokens before it, after the prompt, is at s + delta
};

// Renders, encodes and checks: ids are in the vocabulary, pictures and their places agree, and the
// context holds the prompt and one token more (not even that if max_new_tokens is 0).
Result<EncodedPrompt> encode_prompt(const Engine& engine, const qhexrt::Prompt& prompt,
                                    const qhexrt::GenerateConfig& config);

}  // namespace qhx::engine
