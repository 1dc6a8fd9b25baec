#include "reference/products.h"

namespace qhx::reference {
namespace {

// Reading a weight of the checkpoint and rounding it takes about as long as so many products.
constexpr double kReadProducts = 8;

double block_weights(const hf::VisionConfig& vision) {
  const auto hidden = static_cast<double>(vision.hidden_size);
  return hidden * (4 * hidden + 2 * static_cast<double>(vision.intermediate_size));
}

double layer_weights(const hf::TextConfig& text) {
  const auto hidden = static_cast<double>(text.hidden_size);
  return hidden * (2 * static_cast<double>(text.q_width() + text.kv_width()) +
                   3 * static_cast<double>(text.intermediate_size));
}

// Scores, and what they weigh: causal passes skip half, but an observer sees all.
double attention_products(double rows, std::size_t width) {
  return 3 * rows * rows * static_cast<double>(width);
}

}  // namespace

double block_products(const hf::VisionConfig& vision, const PictureInput& picture) {
  const auto rows = static_cast<double>(picture.patches.rows);
  return rows * block_weights(vision) + attention_products(rows, vision.hidden_size);
}

double layer_products(const hf::TextConfig& text, const TextInput& prompt) {
  const auto rows = static_cast<double>(prompt.tokens.size());
  return rows * layer_weights(text) + attention_products(rows, text.q_width());
}

double load_layer_products(const hf::TextConfig& text) {
  return kReadProducts * layer_weights(text);
}

double load_end_products(const hf::TextConfig& text) {
  return kReadProducts * static_cast<double>(text.vocab_size) *
         static_cast<double>(text.hidden_size);
}

double TextModel::load_products(const hf::TextConfig& config) {
  return 2 * load_end_products(config) +
         static_cast<double>(config.n_layers) * load_layer_products(config);
}

double VisionModel::products(const hf::VisionConfig& config,
                             std::span<const PictureInput> pictures) {
  double sum = 0;
  for (const PictureInput& picture : pictures) sum += block_products(config, picture);
  return sum * static_cast<double>(config.depth);
}

double TextModel::products(const hf::TextConfig& config, std::span<const TextInput> prompts) {
  double sum = 0;
  for (const TextInput& prompt : prompts) sum += layer_products(config, prompt);
  return sum * static_cast<double>(config.n_layers);
}

}  // namespace qhx::reference
