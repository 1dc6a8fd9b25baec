// A prompt through the text graphs: embeddings, picture rows, chunks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "runtime/embedding_table.h"
#include "runtime/prompt_plan.h"
#include "runtime/text_runner.h"

namespace qhx::runtime {

// What the vision graph makes of one picture: one row for each image token.
struct ImageFeatures {
  std::size_t tokens = 0;
  std::vector<float> embeds;                  // [tokens, hidden]
  std::vector<std::vector<float>> deepstack;  // each [tokens, hidden]
};

struct PlacedImage {
  std::size_t first_token = 0;  // in the prompt
  std::shared_ptr<const ImageFeatures> features;
};

struct Prompt {
  std::span<const std::int32_t> tokens;
  std::span<const std::int32_t> positions;  // [3, tokens]
  std::span<const PlacedImage> images;      // in order
};

// Runs the chunks; the runner's cache holds the tokens before the first of them. Afterwards
// runner.hidden() is that of the last token. `should_cancel` (may be empty) is asked before every
// execution: kCancelled. What has been run until an error is in the cache.
Status run_prompt(TextRunner& runner, const EmbeddingTable& embeddings, const Prompt& prompt,
                  std::span<const Chunk> chunks, const std::function<bool()>& should_cancel);

}  // namespace qhx::runtime
