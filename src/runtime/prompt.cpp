#include "runtime/prompt.h"

#include <algorithm>

namespace qhx::runtime {
namespace {

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

Status run_prompt(TextRunner& runner, const EmbeddingTable& embeddings, const Prompt& prompt,
                  std::span<const Chunk> chunks, const std::function<bool()>& should_cancel) {
  std::vector<Position> positions;
  for (const Chunk& chunk : chunks) {
    if (should_cancel && should_cancel()) return cancelled("stopped while reading the prompt");
    DecoderGraph& graph = runner.graph(chunk.graph);
    positions.clear();
    for (std::size_t row = 0; row < chunk.count; ++row) {
      QHX_RETURN_IF_ERROR(fill_row(graph, embeddings, prompt, chunk.first + row, row));
      positions.push_back(position_of(prompt, chunk.first + row));
    }
    QHX_RETURN_IF_ERROR(runner.run(chunk.graph, positions));
  }
  return {};
}

}  // namespace qhx::runtime
