#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "reference/forward.h"
#include "reference/products.h"
#include "reference/witness.h"
#include "vision/positions.h"

namespace qhx::reference {
namespace {

const std::string kRoot = "model.language_model.";
const std::string kEmbedding = kRoot + "embed_tokens.weight";

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

Status check_prompt(const TextInput& input) {
  if (!input.tokens.empty() && input.positions.size() == 3 * input.tokens.size()) return {};
  return invalid_argument("expected at least one token and three positions for each, found " +
                          std::to_string(input.tokens.size()) + " tokens and " +
                          std::to_string(input.positions.size()) + " positions");
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
                                  const WeightPlan& plan, const Progress& progress) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, plan);
  TextModel model;
  model.config_ = config;
  QHX_ASSIGN_OR_RETURN(model.embedding_, reader.embedding(kEmbedding));
  if (progress) QHX_RETURN_IF_ERROR(progress(load_end_products(config.text)));
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    QHX_ASSIGN_OR_RETURN(Layer layer, load_layer(reader, i));
    model.layers_.push_back(std::move(layer));
    if (progress) QHX_RETURN_IF_ERROR(progress(load_layer_products(config.text)));
  }
  QHX_RETURN_IF_ERROR(model.load_ends(reader));
  if (progress) QHX_RETURN_IF_ERROR(progress(load_end_products(config.text)));
  return model;
}

Status TextModel::load_ends(const WeightReader& reader) {
  QHX_ASSIGN_OR_RETURN(final_norm_, reader.vector(kRoot + "norm.weight"));
  // A tied head is the embedding matrix, but rounded as the linear that it is.
  QHX_ASSIGN_OR_RETURN(
      head_.weight,
      reader.rounded(config_.tie_word_embeddings ? kEmbedding : std::string("lm_head.weight")));
  return {};
}

Result<Matrix> TextModel::embed(std::span<const std::int32_t> tokens) const {
  QHX_RETURN_IF_ERROR(check_token_ids(tokens, embedding_.rows));
  Matrix x(tokens.size(), embedding_.columns);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const float* row = embedding_.row(static_cast<std::size_t>(tokens[t]));
    std::memcpy(x.row(t), row, x.columns * sizeof(float));
  }
  return x;
}

Result<TextModel::Pass> TextModel::begin(Matrix embedded, const TextInput& input,
                                         const Observer& observer) const {
  QHX_RETURN_IF_ERROR(check_prompt(input));
  const hf::TextConfig& text = config_.text;
  Pass pass;
  pass.x = std::move(embedded);
  pass.pictures = input.pictures;
  if (input.pictures != nullptr) {
    const Matrix& rows = input.pictures->image_embeds;
    pass.image_rows = places_of(input.tokens, config_.image_token_id);
    if (pass.image_rows.size() != rows.rows) {
      return invalid_argument("expected " + std::to_string(rows.rows) + " image tokens, found " +
                              std::to_string(pass.image_rows.size()));
    }
    for (std::size_t i = 0; i < pass.image_rows.size(); ++i) {
      std::memcpy(pass.x.row(pass.image_rows[i]), rows.row(i), rows.columns * sizeof(float));
    }
  }
  Witness{observer}("text_in", pass.x);
  pass.cos.resize(pass.x.rows * text.head_dim / 2);
  pass.sin.resize(pass.cos.size());
  vision::fill_mrope(input.positions, text.rope_theta, text.mrope_section, text.head_dim, pass.cos,
                     pass.sin);
  return pass;
}

void TextModel::run_layer(const Layer& layer, std::size_t index, KvCache::Layer& cache, Pass& pass,
                          ThreadPool& pool, const Observer& observer) const {
  const hf::TextConfig& text = config_.text;
  const Witness witness{observer, index};
  Matrix& x = pass.x;
  Matrix normed = x;
  rms_norm(layer.input_norm, text.rms_norm_eps, normed);
  witness("layer_norm1", normed);
  Matrix q = apply(layer.q, normed, pool), k = apply(layer.k, normed, pool);
  const Matrix v = apply(layer.v, normed, pool);
  witness("layer_q_proj", q);
  witness("layer_k_proj", k);
  rms_norm(layer.q_norm, text.rms_norm_eps, q);
  rms_norm(layer.k_norm, text.rms_norm_eps, k);
  rotate_heads(q, text.head_dim, pass.cos, pass.sin);
  rotate_heads(k, text.head_dim, pass.cos, pass.sin);
  append_rows(cache.k, k);
  append_rows(cache.v, v);
  // Causal in the order of the sequence, image tokens too.
  const AttentionShape shape{text.n_heads, text.n_kv_heads, text.head_dim, true};
  const Matrix attended = attention(shape, q, cache.k, cache.v, pool);
  const Matrix projected = apply(layer.o, attended, pool);
  add(x, projected);
  witness("layer_q", q);
  witness("layer_k", k);
  witness.scores("layer_scores", shape, q, cache.k, pool);
  witness("layer_v", v);
  witness("layer_attn", attended);
  witness("layer_o", projected);
  witness("layer_mid", x);

  normed = x;
  rms_norm(layer.post_norm, text.rms_norm_eps, normed);
  witness("layer_norm2", normed);
  Matrix inner = apply(layer.gate, normed, pool);
  const Matrix up = apply(layer.up, normed, pool);
  witness("layer_gate", inner);
  witness("layer_up", up);
  for (std::size_t i = 0; i < inner.values.size(); ++i)
    inner.values[i] = silu(inner.values[i]) * up.values[i];
  const Matrix out = apply(layer.down, inner, pool);
  add(x, out);
  witness("layer_product", inner);
  witness("layer_down", out);
  witness("layer_out", x);
  if (pass.pictures != nullptr && index < pass.pictures->deepstack.size()) {
    add_rows(x, pass.image_rows, pass.pictures->deepstack[index]);
    witness("layer_sum", x);
  }
}

TextOutput TextModel::finish(Pass pass, ThreadPool& pool, const Observer& observer) const {
  rms_norm(final_norm_, config_.text.rms_norm_eps, pass.x);
  const Matrix logits = apply(head_, last_row(pass.x), pool);
  Witness{observer}("hidden", pass.x);
  Witness{observer}("logits", logits);
  return {std::move(pass.x), logits.values};
}

Result<TextOutput> TextModel::run(Pass pass, const TextInput& input, KvCache& cache,
                                  ThreadPool& pool, const Observer& observer,
                                  const Progress& progress) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    run_layer(layers_[i], i, cache.layers[i], pass, pool, observer);
    if (progress) QHX_RETURN_IF_ERROR(progress(layer_products(config_.text, input)));
  }
  cache.tokens += pass.x.rows;
  return finish(std::move(pass), pool, observer);
}

Result<TextOutput> TextModel::prefill(const TextInput& input, KvCache& cache, ThreadPool& pool,
                                      const Observer& observer, const Progress& progress) const {
  QHX_ASSIGN_OR_RETURN(Matrix embedded, embed(input.tokens));
  QHX_ASSIGN_OR_RETURN(Pass pass, begin(std::move(embedded), input, observer));
  cache = {};
  cache.layers.resize(layers_.size());
  cache.rope_delta = input.rope_delta;
  return run(std::move(pass), input, cache, pool, observer, progress);
}

Result<TextOutput> TextModel::decode_step(std::int32_t token, KvCache& cache, ThreadPool& pool,
                                          const Progress& progress) const {
  QHX_CHECK(cache.layers.size() == layers_.size());
  QHX_ASSIGN_OR_RETURN(Matrix embedded, embed(std::span(&token, 1)));
  const std::int32_t position = static_cast<std::int32_t>(cache.tokens) + cache.rope_delta;
  const std::int32_t positions[3] = {position, position, position};
  const TextInput input{std::span(&token, 1), positions, 0, nullptr};
  QHX_ASSIGN_OR_RETURN(Pass pass, begin(std::move(embedded), input, {}));
  return run(std::move(pass), input, cache, pool, {}, progress);
}

std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace qhx::reference
