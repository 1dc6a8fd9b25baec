#include "runtime/prompt.h"

#include <algorithm>
#include <string>

namespace qhx::runtime {
namespace {

// With a prefill graph that cannot see the cache, a rest of this many tokens is still quicker
// through decode than the whole prompt again.
constexpr std::size_t kFewTokens = 16;

bool prefill_fits(const TextSpec& spec, std::size_t first) {
  return spec.prefill_rows > 0 && (spec.prefill_past || first == 0);
}

// The picture that the token belongs to; null for text.
const PlacedImage* image_at(const Prompt& prompt, std::size_t token) {
  for (const PlacedImage& image : prompt.images) {
    if (token >= image.first_token && token - image.first_token < image.features->tokens)
      return &image;
  }
  return nullptr;
}

void copy_row(const std::vector<float>& from, std::size_t row, std::span<float> to) {
  std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(row * to.size()), to.size(), to.begin());
}

Status fill_row(DecoderGraph& graph, const EmbeddingTable& embeddings, const Prompt& prompt,
                std::size_t token, std::size_t row) {
  const PlacedImage* image = image_at(prompt, token);
  if (image == nullptr) return embeddings.row(prompt.tokens[token], graph.x(row));
  const std::size_t from = token - image->first_token;
  copy_row(image->features->embeds, from, graph.x(row));
  for (std::size_t k = 0; k < graph.deepstack_count(); ++k) {
    graph.use_deepstack();
    copy_row(image->features->deepstack[k], from, graph.deepstack(k, row));
  }
  return {};
}

Position position_of(const Prompt& prompt, std::size_t token) {
  const std::size_t count = prompt.tokens.size();
  return {prompt.positions[token], prompt.positions[count + token],
          prompt.positions[2 * count + token]};
}

}  // namespace

Result<std::vector<Chunk>> plan_chunks(const TextSpec& spec, std::size_t tokens, std::size_t start,
                                       std::size_t images_end) {
  std::vector<Chunk> chunks;
  for (std::size_t at = start; at < tokens;) {
    const std::size_t rest = tokens - at;
    const bool has_image = at < images_end;
    const bool short_tail = rest <= spec.decode_tail && !has_image;
    if (prefill_fits(spec, at) && !short_tail) {
      chunks.push_back({at, std::min(rest, spec.prefill_rows), true});
    } else if (has_image && spec.deepstack > 0) {
      return unsupported("a picture reaches to token " + std::to_string(images_end) +
                         ", but this bundle's prefill graph takes " +
                         std::to_string(spec.prefill_rows) + " tokens and only once");
    } else {
      chunks.push_back({at, 1, false});
    }
    at += chunks.back().count;
  }
  return chunks;
}

std::size_t usable_prefix(const TextSpec& spec, std::size_t tokens, std::size_t common,
                          std::size_t images_end) {
  // The last token runs again, for its hidden state.
  common = std::min(common, tokens - 1);
  if (spec.prefill_rows == 0 || spec.prefill_past) return common;
  const std::size_t from_scratch = tokens > spec.prefill_rows ? tokens - spec.prefill_rows : 0;
  const bool few = tokens - common <= from_scratch + kFewTokens;
  const bool images_left = common < images_end;
  return few && !images_left ? common : 0;
}

Status run_prompt(TextRunner& runner, const EmbeddingTable& embeddings, const Prompt& prompt,
                  std::span<const Chunk> chunks, const std::function<bool()>& should_cancel) {
  std::vector<Position> positions;
  for (const Chunk& chunk : chunks) {
    if (should_cancel && should_cancel()) return cancelled("stopped while reading the prompt");
    DecoderGraph& graph = chunk.prefill ? *runner.prefill() : runner.decode();
    positions.clear();
    for (std::size_t row = 0; row < chunk.count; ++row) {
      QHX_RETURN_IF_ERROR(fill_row(graph, embeddings, prompt, chunk.first + row, row));
      positions.push_back(position_of(prompt, chunk.first + row));
    }
    QHX_RETURN_IF_ERROR(chunk.prefill ? runner.run_prefill(positions)
                                      : runner.run_decode(positions[0]));
  }
  return {};
}

}  // namespace qhx::runtime
