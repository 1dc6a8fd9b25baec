#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "reference/forward.h"
#include "vision/positions.h"

namespace qhx::reference {
namespace {

const std::string kRoot = "model.language_model.";

void append_rows(Matrix& to, const Matrix& from) {
  to.columns = from.columns;
  to.rows += from.rows;
  to.values.insert(to.values.end(), from.values.begin(), from.values.end());
}

// row(places[i]) of x += row i of y.
void add_rows(Matrix& x, std::span<const std::size_t> places, const Matrix& y) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t c = 0; c < x.columns; ++c) x.row(places[i])[c] += y.row(i)[c];
  }
}

std::vector<std::size_t> places_of(std::span<const std::int32_t> tokens, std::int32_t wanted) {
  std::vector<std::size_t> places;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] == wanted) places.push_back(t);
  }
  return places;
}

Matrix last_row(const Matrix& x) {
  Matrix row(1, x.columns);
  std::memcpy(row.row(0), x.row(x.rows - 1), x.columns * sizeof(float));
  return row;
}

}  // namespace

Result<TextModel::Layer> TextModel::load_layer(const WeightReader& reader, std::size_t index) {
  const std::string prefix = kRoot + "layers." + std::to_string(index) + ".";
  Layer layer;
  QHX_ASSIGN_OR_RETURN(layer.input_norm, reader.vector(prefix + "input_layernorm.weight"));
  QHX_ASSIGN_OR_RETURN(layer.post_norm, reader.vector(prefix + "post_attention_layernorm.weight"));
  QHX_ASSIGN_OR_RETURN(layer.q_norm, reader.vector(prefix + "self_attn.q_norm.weight"));
  QHX_ASSIGN_OR_RETURN(layer.k_norm, reader.vector(prefix + "self_attn.k_norm.weight"));
  QHX_ASSIGN_OR_RETURN(layer.q, reader.linear(prefix + "self_attn.q_proj"));
  QHX_ASSIGN_OR_RETURN(layer.k, reader.linear(prefix + "self_attn.k_proj"));
  QHX_ASSIGN_OR_RETURN(layer.v, reader.linear(prefix + "self_attn.v_proj"));
  QHX_ASSIGN_OR_RETURN(layer.o, reader.linear(prefix + "self_attn.o_proj"));
  QHX_ASSIGN_OR_RETURN(layer.gate, reader.linear(prefix + "mlp.gate_proj"));
  QHX_ASSIGN_OR_RETURN(layer.up, reader.linear(prefix + "mlp.up_proj"));
  QHX_ASSIGN_OR_RETURN(layer.down, reader.linear(prefix + "mlp.down_proj"));
  return layer;
}

Result<TextModel> TextModel::load(const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                  WeightFormat format) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, format);
  const std::string embedding = kRoot + "embed_tokens.weight";
  TextModel model;
  model.config_ = config;
  QHX_ASSIGN_OR_RETURN(model.embedding_, reader.embedding(embedding));
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    QHX_ASSIGN_OR_RETURN(Layer layer, load_layer(reader, i));
    model.layers_.push_back(std::move(layer));
  }
  QHX_ASSIGN_OR_RETURN(model.final_norm_, reader.vector(kRoot + "norm.weight"));
  // A tied head is the embedding matrix, but rounded as the linear that it is.
  QHX_ASSIGN_OR_RETURN(model.head_.weight,
                       reader.rounded(config.tie_word_embeddings ? embedding : "lm_head.weight"));
  return model;
}

Result<Matrix> TextModel::embed(std::span<const std::int32_t> tokens) const {
  Matrix x(tokens.size(), embedding_.columns);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || static_cast<std::size_t>(tokens[t]) >= embedding_.rows) {
      return invalid_argument("token " + std::to_string(t) + ": expected an id below " +
                              std::to_string(embedding_.rows) + ", found " +
                              std::to_string(tokens[t]));
    }
    const float* row = embedding_.row(static_cast<std::size_t>(tokens[t]));
    std::memcpy(x.row(t), row, x.columns * sizeof(float));
  }
  return x;
}

void TextModel::run_layer(const Layer& layer, std::span<const float> cos,
                          std::span<const float> sin, KvCache::Layer& cache, Matrix& x,
                          ThreadPool& pool) const {
  const hf::TextConfig& text = config_.text;
  Matrix normed = x;
  rms_norm(layer.input_norm, text.rms_norm_eps, normed);
  Matrix q = apply(layer.q, normed, pool), k = apply(layer.k, normed, pool);
  rms_norm(layer.q_norm, text.rms_norm_eps, q);
  rms_norm(layer.k_norm, text.rms_norm_eps, k);
  rotate_heads(q, text.head_dim, cos, sin);
  rotate_heads(k, text.head_dim, cos, sin);
  append_rows(cache.k, k);
  append_rows(cache.v, apply(layer.v, normed, pool));
  // Causal in the order of the sequence, image tokens too.
  const AttentionShape shape{text.n_heads, text.n_kv_heads, text.head_dim, true};
  add(x, apply(layer.o, attention(shape, q, cache.k, cache.v, pool), pool));

  normed = x;
  rms_norm(layer.post_norm, text.rms_norm_eps, normed);
  Matrix inner = apply(layer.gate, normed, pool);
  const Matrix up = apply(layer.up, normed, pool);
  for (std::size_t i = 0; i < inner.values.size(); ++i)
    inner.values[i] = silu(inner.values[i]) * up.values[i];
  add(x, apply(layer.down, inner, pool));
}

TextOutput TextModel::run(Matrix x, std::span<const std::int32_t> positions,
                          std::span<const std::size_t> image_rows, const VisionOutput* pictures,
                          KvCache& cache, ThreadPool& pool, const Observer& observer) const {
  const hf::TextConfig& text = config_.text;
  std::vector<float> cos(x.rows * text.head_dim / 2), sin(cos.size());
  vision::fill_mrope(positions, text.rope_theta, text.mrope_section, text.head_dim, cos, sin);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    run_layer(layers_[i], cos, sin, cache.layers[i], x, pool);
    if (observer) {
      char name[32];
      std::snprintf(name, sizeof name, "layer_out_%02zu", i);
      observer(name, x);
    }
    if (pictures != nullptr && i < pictures->deepstack.size())
      add_rows(x, image_rows, pictures->deepstack[i]);
  }
  cache.tokens += x.rows;
  rms_norm(final_norm_, text.rms_norm_eps, x);
  TextOutput output;
  output.logits = apply(head_, last_row(x), pool).values;
  output.hidden = std::move(x);
  return output;
}

Result<TextOutput> TextModel::prefill(const TextInput& input, KvCache& cache, ThreadPool& pool,
                                      const Observer& observer) const {
  if (input.tokens.empty() || input.positions.size() != 3 * input.tokens.size()) {
    return invalid_argument("expected at least one token and three positions for each, found " +
                            std::to_string(input.tokens.size()) + " tokens and " +
                            std::to_string(input.positions.size()) + " positions");
  }
  QHX_ASSIGN_OR_RETURN(Matrix x, embed(input.tokens));
  std::vector<std::size_t> image_rows;
  if (input.pictures != nullptr) {
    const Matrix& rows = input.pictures->image_embeds;
    image_rows = places_of(input.tokens, config_.image_token_id);
    if (image_rows.size() != rows.rows) {
      return invalid_argument("expected " + std::to_string(rows.rows) + " image tokens, found " +
                              std::to_string(image_rows.size()));
    }
    for (std::size_t i = 0; i < image_rows.size(); ++i) {
      std::memcpy(x.row(image_rows[i]), rows.row(i), x.columns * sizeof(float));
    }
  }
  cache = {};
  cache.layers.resize(layers_.size());
  cache.rope_delta = input.rope_delta;
  return run(std::move(x), input.positions, image_rows, input.pictures, cache, pool, observer);
}

Result<TextOutput> TextModel::decode_step(std::int32_t token, KvCache& cache,
                                          ThreadPool& pool) const {
  QHX_CHECK(cache.layers.size() == layers_.size());
  QHX_ASSIGN_OR_RETURN(Matrix x, embed(std::span(&token, 1)));
  const std::int32_t position = static_cast<std::int32_t>(cache.tokens) + cache.rope_delta;
  const std::int32_t positions[3] = {position, position, position};
  return run(std::move(x), positions, {}, nullptr, cache, pool, {});
}

std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace qhx::reference
