#include <algorithm>

#include "base/check.h"
#include "reference/forward.h"
#include "reference/witness.h"
#include "vision/positions.h"
#include "vision/stage_f.h"

namespace qhx::reference {
namespace {

const std::string kRoot = "model.visual.";

// Every `unit` consecutive rows as one. The values stay where they are.
Matrix concatenate_rows(Matrix x, std::size_t unit) {
  x.rows /= unit;
  x.columns *= unit;
  return x;
}

}  // namespace

Result<PictureInput> make_picture_input(const hf::ModelConfig& config, const vision::Image& image) {
  vision::PatchParams params;
  params.patch = static_cast<int>(config.vision.patch_size);
  params.merge = static_cast<int>(config.vision.spatial_merge_size);
  params.temporal = static_cast<int>(config.vision.temporal_patch_size);
  params.mean = config.preprocessor.mean;
  params.std = config.preprocessor.std;
  QHX_ASSIGN_OR_RETURN(const vision::Grid grid,
                       vision::patch_grid(image.width, image.height, params));
  PictureInput input{Matrix(grid.patches(), vision::patch_values(params)), grid};
  vision::extract_patches(image, params, input.patches.values);
  return input;
}

Result<VisionModel::Block> VisionModel::load_block(const WeightReader& reader, std::size_t index) {
  const std::string prefix = kRoot + "blocks." + std::to_string(index) + ".";
  Block block;
  QHX_ASSIGN_OR_RETURN(block.norm1, reader.layer_norm(prefix + "norm1", hf::kVisionLayerNormEps));
  QHX_ASSIGN_OR_RETURN(block.norm2, reader.layer_norm(prefix + "norm2", hf::kVisionLayerNormEps));
  QHX_ASSIGN_OR_RETURN(block.qkv, reader.linear(prefix + "attn.qkv"));
  QHX_ASSIGN_OR_RETURN(block.proj, reader.linear(prefix + "attn.proj"));
  QHX_ASSIGN_OR_RETURN(block.fc1, reader.linear(prefix + "mlp.linear_fc1"));
  QHX_ASSIGN_OR_RETURN(block.fc2, reader.linear(prefix + "mlp.linear_fc2"));
  return block;
}

Result<VisionModel::Merger> VisionModel::load_merger(const WeightReader& reader,
                                                     const std::string& prefix) {
  Merger merger;
  QHX_ASSIGN_OR_RETURN(merger.norm, reader.layer_norm(prefix + ".norm", hf::kVisionLayerNormEps));
  QHX_ASSIGN_OR_RETURN(merger.fc1, reader.linear(prefix + ".linear_fc1"));
  QHX_ASSIGN_OR_RETURN(merger.fc2, reader.linear(prefix + ".linear_fc2"));
  return merger;
}

Result<VisionModel::Merger> VisionModel::load_deepstack(const WeightReader& reader,
                                                        std::size_t index) {
  return load_merger(reader, kRoot + "deepstack_merger_list." + std::to_string(index));
}

Status VisionModel::load_ends(const WeightReader& reader) {
  QHX_ASSIGN_OR_RETURN(patch_embed_.weight, reader.matrix(kRoot + "patch_embed.proj.weight"));
  QHX_ASSIGN_OR_RETURN(patch_embed_.bias, reader.vector(kRoot + "patch_embed.proj.bias"));
  QHX_ASSIGN_OR_RETURN(positions_, reader.matrix(kRoot + "pos_embed.weight"));
  QHX_ASSIGN_OR_RETURN(merger_, load_merger(reader, kRoot + "merger"));
  return {};
}

Result<VisionModel> VisionModel::load(const hf::ModelConfig& config,
                                      const hf::Checkpoint& checkpoint, const WeightPlan& plan) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, plan);
  VisionModel model;
  model.config_ = config.vision;
  QHX_RETURN_IF_ERROR(model.load_ends(reader));
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    QHX_ASSIGN_OR_RETURN(Block block, load_block(reader, i));
    model.blocks_.push_back(std::move(block));
  }
  for (std::size_t k = 0; k < config.vision.deepstack_layers.size(); ++k) {
    QHX_ASSIGN_OR_RETURN(Merger merger, load_deepstack(reader, k));
    model.deepstack_.push_back(std::move(merger));
  }
  return model;
}

VisionModel::Pass VisionModel::begin(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
                                     const Observer& observer) const {
  const std::size_t count = grid.patches(), hidden = config_.hidden_size, dim = config_.head_dim();
  const auto merge_size = static_cast<int>(config_.spatial_merge_size);
  QHX_CHECK(patches.rows == count && patches.columns == config_.patch_values());
  QHX_CHECK(grid.height % merge_size == 0 && grid.width % merge_size == 0);

  Pass pass;
  pass.x = apply(patch_embed_, patches, pool);
  Matrix positions(count, hidden);
  vision::interpolate_positions(positions_.values, config_.position_grid, hidden, grid, merge_size,
                                positions.values);
  add(pass.x, positions);
  pass.output.vision_in = pass.x;
  Witness{observer}("vision_in", pass.x);

  pass.cos.resize(count * dim / 2);
  pass.sin.resize(pass.cos.size());
  vision::fill_vision_rope(grid, merge_size, hf::kVisionRopeTheta, dim, pass.cos, pass.sin);
  return pass;
}

void VisionModel::run_block(const Block& block, std::size_t index, Pass& pass, ThreadPool& pool,
                            const Observer& observer) const {
  const std::size_t hidden = config_.hidden_size, dim = config_.head_dim();
  const Witness witness{observer, index};
  Matrix& x = pass.x;
  const Matrix normed = apply(block.norm1, x);
  witness("block_norm1", normed);
  const Matrix qkv = apply(block.qkv, normed, pool);
  Matrix q = columns_of(qkv, 0, hidden), k = columns_of(qkv, hidden, hidden);
  const Matrix v = columns_of(qkv, 2 * hidden, hidden);
  rotate_heads(q, dim, pass.cos, pass.sin);
  rotate_heads(k, dim, pass.cos, pass.sin);
  // Every patch of the picture sees every other.
  const AttentionShape shape{config_.n_heads, config_.n_heads, dim, false};
  const Matrix attended = attention(shape, q, k, v, pool);
  const Matrix projected = apply(block.proj, attended, pool);
  add(x, projected);
  witness("block_q", q);
  witness("block_k", k);
  witness.scores("block_scores", shape, q, k, pool);
  witness("block_v", v);
  witness("block_attn", attended);
  witness("block_proj", projected);
  witness("block_mid", x);

  const Matrix normed2 = apply(block.norm2, x);
  witness("block_norm2", normed2);
  Matrix inner = apply(block.fc1, normed2, pool);
  witness("block_fc1", inner);
  for (float& value : inner.values) value = gelu_tanh(value);
  witness("block_gelu", inner);
  const Matrix out = apply(block.fc2, inner, pool);
  add(x, out);
  witness("block_fc2", out);
  witness("block_out", x);
}

// Normalises the concatenation of the patches of a token.
void VisionModel::run_deepstack(const Merger& merger, Pass& pass, ThreadPool& pool,
                                const Observer& observer) const {
  const Witness witness{observer, pass.output.deepstack.size()};
  const Matrix tokens = apply(merger.norm, concatenate_rows(pass.x, config_.merge_unit()));
  Matrix inner = apply(merger.fc1, tokens, pool);
  witness("deepstack_fc1", inner);
  for (float& value : inner.values) value = gelu_erf(value);
  witness("deepstack_gelu", inner);
  Matrix features = apply(merger.fc2, inner, pool);
  witness("deepstack", features);
  pass.output.deepstack.push_back(std::move(features));
}

// The main merger normalises each patch.
VisionOutput VisionModel::finish(Pass pass, ThreadPool& pool, const Observer& observer) const {
  const Witness witness{observer};
  const Matrix tokens = concatenate_rows(apply(merger_.norm, pass.x), config_.merge_unit());
  Matrix inner = apply(merger_.fc1, tokens, pool);
  witness("merger_fc1", inner);
  for (float& value : inner.values) value = gelu_erf(value);
  witness("merger_gelu", inner);
  pass.output.image_embeds = apply(merger_.fc2, inner, pool);
  witness("image_embeds", pass.output.image_embeds);
  return std::move(pass.output);
}

VisionOutput VisionModel::run(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
                              const Observer& observer) const {
  Pass pass = begin(patches, grid, pool, observer);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    run_block(blocks_[i], i, pass, pool, observer);
    if (const auto merger = config_.deepstack_merger_of(i))
      run_deepstack(deepstack_[*merger], pass, pool, observer);
  }
  return finish(std::move(pass), pool, observer);
}

}  // namespace qhx::reference
