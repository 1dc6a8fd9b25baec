// The tensors a checkpoint of the family must have, from its configuration.
#include <string>

#include "forge/hf/config.h"

namespace qhx::hf {
namespace {

class TensorList {
 public:
  void add(std::string name, std::vector<std::size_t> shape) {
    tensors_.push_back({std::move(name), std::move(shape)});
  }
  void add_with_bias(const std::string& prefix, std::vector<std::size_t> shape) {
    add(prefix + ".bias", {shape.front()});
    add(prefix + ".weight", std::move(shape));
  }
  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ExpectedTensor> tensors_;
};

void add_merger(TensorList& list, const VisionConfig& vision, const std::string& prefix,
                std::size_t norm_width) {
  const std::size_t merged = vision.merged_width();
  list.add_with_bias(prefix + ".norm", {norm_width});
  list.add_with_bias(prefix + ".linear_fc1", {merged, merged});
  list.add_with_bias(prefix + ".linear_fc2", {vision.out_hidden_size, merged});
}

void add_vision(TensorList& list, const VisionConfig& vision) {
  const std::string root = "model.visual.";
  const std::size_t hidden = vision.hidden_size;
  list.add_with_bias(root + "patch_embed.proj",
                     {hidden, vision.in_channels, vision.temporal_patch_size, vision.patch_size,
                      vision.patch_size});
  list.add(root + "pos_embed.weight", {vision.position_grid * vision.position_grid, hidden});
  for (std::size_t i = 0; i < vision.depth; ++i) {
    const std::string block = root + "blocks." + std::to_string(i) + ".";
    list.add_with_bias(block + "norm1", {hidden});
    list.add_with_bias(block + "attn.qkv", {3 * hidden, hidden});
    list.add_with_bias(block + "attn.proj", {hidden, hidden});
    list.add_with_bias(block + "norm2", {hidden});
    list.add_with_bias(block + "mlp.linear_fc1", {vision.intermediate_size, hidden});
    list.add_with_bias(block + "mlp.linear_fc2", {hidden, vision.intermediate_size});
  }
  // The main merger normalises each patch, the deepstack ones the concatenation.
  add_merger(list, vision, root + "merger", hidden);
  for (std::size_t k = 0; k < vision.deepstack_layers.size(); ++k) {
    add_merger(list, vision, root + "deepstack_merger_list." + std::to_string(k),
               vision.merged_width());
  }
}

void add_text(TensorList& list, const TextConfig& text) {
  const std::string root = "model.language_model.";
  const std::size_t hidden = text.hidden_size;
  list.add(root + "embed_tokens.weight", {text.vocab_size, hidden});
  for (std::size_t i = 0; i < text.n_layers; ++i) {
    const std::string layer = root + "layers." + std::to_string(i) + ".";
    list.add(layer + "input_layernorm.weight", {hidden});
    list.add(layer + "self_attn.q_proj.weight", {text.q_width(), hidden});
    list.add(layer + "self_attn.k_proj.weight", {text.kv_width(), hidden});
    list.add(layer + "self_attn.v_proj.weight", {text.kv_width(), hidden});
    list.add(layer + "self_attn.q_norm.weight", {text.head_dim});
    list.add(layer + "self_attn.k_norm.weight", {text.head_dim});
    list.add(layer + "self_attn.o_proj.weight", {hidden, text.q_width()});
    list.add(layer + "post_attention_layernorm.weight", {hidden});
    list.add(layer + "mlp.gate_proj.weight", {text.intermediate_size, hidden});
    list.add(layer + "mlp.up_proj.weight", {text.intermediate_size, hidden});
    list.add(layer + "mlp.down_proj.weight", {hidden, text.intermediate_size});
  }
  list.add(root + "norm.weight", {hidden});
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  TensorList list;
  add_vision(list, config.vision);
  add_text(list, config.text);
  if (!config.tie_word_embeddings) {
    list.add("lm_head.weight", {config.text.vocab_size, config.text.hidden_size});
  }
  return list.take();
}

Status validate_tensors(const ModelConfig& config, const Checkpoint& checkpoint) {
  for (const ExpectedTensor& expected : expected_tensors(config)) {
    QHX_ASSIGN_OR_RETURN(const TensorView tensor, checkpoint.find(expected.name, expected.shape));
    if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 &&
        tensor.dtype != DType::kBF16) {
      return corrupt(checkpoint.path().string() + ": tensor " + expected.name +
                     ": expected F32, F16 or BF16, found " + std::string(name(tensor.dtype)));
    }
  }
  return {};
}

}  // namespace qhx::hf
