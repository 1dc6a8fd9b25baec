#include "forge/ranges/stages.h"

#include <optional>
#include <span>

#include "reference/forward.h"

namespace qhx::forge {
namespace {

using P = const ScalePlan&;
using I = std::size_t;

int vision_residual(P plan, I) { return plan.vision_residual; }
int text_residual(P plan, I) { return plan.text_residual; }
int block_attention(P plan, I i) { return plan.block_attention(i); }
int layer_attention(P plan, I i) { return plan.layer(i).attention; }
int layer_mlp(P plan, I i) { return plan.layer(i).mlp; }

#define QHX_BLOCK "model.visual.blocks.#."
#define QHX_DEEPSTACK "deepstack feature #, merger's "
#define QHX_MERGER "model.visual.merger."
#define QHX_LAYER "model.language_model.layers.#."

constexpr StageKind kVisionIn = {"vision_in", "model.visual.pos_embed, sum with the patches",
                                 nullptr, true};
constexpr StageKind kBlock[] = {
    {"block_norm1", QHX_BLOCK "norm1, output", block_attention, true},
    {"block_q", QHX_BLOCK "attn.qkv, queries", block_attention},
    {"block_k", QHX_BLOCK "attn.qkv, keys", block_attention},
    {"block_scores", QHX_BLOCK "attn, scores before the softmax",
     [](P plan, I i) { return 2 * plan.block_attention(i); }},
    {"block_v", QHX_BLOCK "attn.qkv, values", block_attention},
    {"block_attn", QHX_BLOCK "attn.proj, input", block_attention},
    {"block_proj", QHX_BLOCK "attn.proj, output", vision_residual},
    {"block_mid", QHX_BLOCK "norm2, input", vision_residual, true},
    {"block_norm2", QHX_BLOCK "norm2, output", nullptr, true},
    {"block_fc1", QHX_BLOCK "mlp.linear_fc1, output", nullptr},
    {"block_gelu", QHX_BLOCK "mlp.linear_fc2, input", nullptr},
    {"block_fc2", QHX_BLOCK "mlp.linear_fc2, output", vision_residual},
    {"block_out", "model.visual.blocks.#, output", vision_residual, true},
};
constexpr StageKind kDeepstack[] = {
    {"deepstack_fc1", QHX_DEEPSTACK "linear_fc1, output", nullptr},
    {"deepstack_gelu", QHX_DEEPSTACK "linear_fc2, input", nullptr},
    {"deepstack", QHX_DEEPSTACK "linear_fc2, output", [](P p, I i) { return p.feature(i); }},
};
constexpr StageKind kMerger[] = {
    {"merger_fc1", QHX_MERGER "linear_fc1, output", nullptr},
    {"merger_gelu", QHX_MERGER "linear_fc2, input", nullptr},
    {"image_embeds", QHX_MERGER "linear_fc2, output", nullptr},
};
constexpr StageKind kTextIn = {
    "text_in", "model.language_model.embed_tokens and picture, rows of the prompt", nullptr, true};
constexpr StageKind kLayer[] = {
    {"layer_norm1", QHX_LAYER "input_layernorm, output", layer_attention, true},
    {"layer_q_proj", QHX_LAYER "self_attn.q_proj, output", layer_attention},
    {"layer_k_proj", QHX_LAYER "self_attn.k_proj, output", layer_attention},
    {"layer_q", QHX_LAYER "self_attn.q_norm, output", [](P p, I i) { return p.layer(i).q; }},
    {"layer_k", QHX_LAYER "self_attn.k_norm, output", [](P p, I i) { return p.layer(i).k; }},
    {"layer_scores", QHX_LAYER "self_attn, scores before the softmax",
     [](P p, I i) { return p.layer(i).q + p.layer(i).k; }},
    {"layer_v", QHX_LAYER "self_attn.v_proj, output", layer_attention},
    {"layer_attn", QHX_LAYER "self_attn.o_proj, input", layer_attention},
    {"layer_o", QHX_LAYER "self_attn.o_proj, output", text_residual},
    {"layer_mid", QHX_LAYER "post_attention_layernorm, input", text_residual, true},
    {"layer_norm2", QHX_LAYER "post_attention_layernorm, output", layer_mlp, true},
    {"layer_gate", QHX_LAYER "mlp.gate_proj, output", nullptr},
    {"layer_up", QHX_LAYER "mlp.up_proj, output", layer_mlp},
    {"layer_product", QHX_LAYER "mlp.down_proj, input", layer_mlp},
    {"layer_down", QHX_LAYER "mlp.down_proj, output", text_residual},
    {"layer_out", "model.language_model.layers.#, output", text_residual, true},
};
constexpr StageKind kLayerSum = {
    "layer_sum", "model.language_model.layers.#, output plus deepstack", text_residual, true};
constexpr StageKind kEnds[] = {
    {"hidden", "model.language_model.norm, output", nullptr},
    {"logits", "lm_head, output", nullptr},
};

#undef QHX_BLOCK
#undef QHX_DEEPSTACK
#undef QHX_MERGER
#undef QHX_LAYER

class StageList {
 public:
  void add(const StageKind& kind, std::optional<std::size_t> index = std::nullopt) {
    stages_.push_back({&kind, index.value_or(0), reference::Stage{kind.kind, index}.name()});
  }
  void add(std::span<const StageKind> kinds, std::optional<std::size_t> index = std::nullopt) {
    for (const StageKind& kind : kinds) add(kind, index);
  }
  std::vector<MeasuredStage> take() { return std::move(stages_); }

 private:
  std::vector<MeasuredStage> stages_;
};

}  // namespace

std::string MeasuredStage::description() const {
  std::string text(kind->what);
  if (const auto place = text.find('#'); place != std::string::npos)
    text.replace(place, 1, std::to_string(index));
  return text + " (" + name + ")";
}

std::vector<MeasuredStage> measured_stages(const hf::ModelConfig& config) {
  const auto& deepstack = config.vision.deepstack_layers;
  StageList list;
  std::size_t features = 0;
  list.add(kVisionIn);
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    list.add(kBlock, i);
    if (config.vision.deepstack_merger_of(i)) list.add(kDeepstack, features++);
  }
  list.add(kMerger);
  list.add(kTextIn);
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    list.add(kLayer, i);
    if (i < deepstack.size()) list.add(kLayerSum, i);
  }
  list.add(kEnds);
  return list.take();
}

}  // namespace qhx::forge
