#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "reference/forward.h"
#include "vision/positions.h"
#include "vision/stage_f.h"

namespace qhx::reference {
namespace {

const std::string kRoot = "model.visual.";

// Columns [first, first + count) of x.
Matrix columns_of(const Matrix& x, std::size_t first, std::size_t count) {
  Matrix part(x.rows, count);
  for (std::size_t r = 0; r < x.rows; ++r)
    std::memcpy(part.row(r), x.row(r) + first, count * sizeof(float));
  return part;
}

// Every `unit` consecutive rows as one. The values stay where they are.
Matrix concatenate_rows(Matrix x, std::size_t unit) {
  x.rows /= unit;
  x.columns *= unit;
  return x;
}

}  // namespace

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

Result<VisionModel> VisionModel::load(const hf::ModelConfig& config,
                                      const hf::Checkpoint& checkpoint, WeightFormat format) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, format);
  VisionModel model;
  model.config_ = config.vision;
  QHX_ASSIGN_OR_RETURN(model.patch_embed_.weight, reader.matrix(kRoot + "patch_embed.proj.weight"));
  QHX_ASSIGN_OR_RETURN(model.patch_embed_.bias, reader.vector(kRoot + "patch_embed.proj.bias"));
  QHX_ASSIGN_OR_RETURN(model.positions_, reader.matrix(kRoot + "pos_embed.weight"));
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    QHX_ASSIGN_OR_RETURN(Block block, load_block(reader, i));
    model.blocks_.push_back(std::move(block));
  }
  QHX_ASSIGN_OR_RETURN(model.merger_, load_merger(reader, kRoot + "merger"));
  for (std::size_t k = 0; k < config.vision.deepstack_layers.size(); ++k) {
    QHX_ASSIGN_OR_RETURN(Merger merger,
                         load_merger(reader, kRoot + "deepstack_merger_list." + std::to_string(k)));
    model.deepstack_.push_back(std::move(merger));
  }
  return model;
}

void VisionModel::run_block(const Block& block, std::span<const float> cos,
                            std::span<const float> sin, Matrix& x, ThreadPool& pool) const {
  const std::size_t hidden = config_.hidden_size, dim = config_.head_dim();
  const Matrix qkv = apply(block.qkv, apply(block.norm1, x), pool);
  Matrix q = columns_of(qkv, 0, hidden), k = columns_of(qkv, hidden, hidden);
  const Matrix v = columns_of(qkv, 2 * hidden, hidden);
  rotate_heads(q, dim, cos, sin);
  rotate_heads(k, dim, cos, sin);
  // Every patch of the picture sees every other.
  add(x, apply(block.proj, attention({config_.n_heads, config_.n_heads, dim, false}, q, k, v, pool),
               pool));

  Matrix inner = apply(block.fc1, apply(block.norm2, x), pool);
  for (float& value : inner.values) value = gelu_tanh(value);
  add(x, apply(block.fc2, inner, pool));
}

// The main merger normalises each patch, the deepstack ones the concatenation of the patches of a
// token.
Matrix VisionModel::merge(const Merger& merger, const Matrix& x, bool norm_first,
                          ThreadPool& pool) const {
  const std::size_t unit = config_.merge_unit();
  const Matrix tokens = norm_first ? concatenate_rows(apply(merger.norm, x), unit)
                                   : apply(merger.norm, concatenate_rows(x, unit));
  Matrix inner = apply(merger.fc1, tokens, pool);
  for (float& value : inner.values) value = gelu_erf(value);
  return apply(merger.fc2, inner, pool);
}

VisionOutput VisionModel::run(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
                              const Observer& observer) const {
  const std::size_t count = grid.patches(), hidden = config_.hidden_size, dim = config_.head_dim();
  const auto merge_size = static_cast<int>(config_.spatial_merge_size);
  QHX_CHECK(patches.rows == count && patches.columns == config_.patch_values());
  QHX_CHECK(grid.height % merge_size == 0 && grid.width % merge_size == 0);

  VisionOutput output;
  Matrix x = apply(patch_embed_, patches, pool);
  Matrix positions(count, hidden);
  vision::interpolate_positions(positions_.values, config_.position_grid, hidden, grid, merge_size,
                                positions.values);
  add(x, positions);
  output.vision_in = x;

  std::vector<float> cos(count * dim / 2), sin(count * dim / 2);
  vision::fill_vision_rope(grid, merge_size, hf::kVisionRopeTheta, dim, cos, sin);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    run_block(blocks_[i], cos, sin, x, pool);
    if (observer) {
      char name[32];
      std::snprintf(name, sizeof name, "block_out_%02zu", i);
      observer(name, x);
    }
    if (const auto merger = config_.deepstack_merger_of(i)) {
      output.deepstack.push_back(merge(deepstack_[*merger], x, false, pool));
    }
  }
  output.image_embeds = merge(merger_, x, true, pool);
  return output;
}

}  // namespace qhx::reference
