// The forward pass of Qwen3-VL in plain float32, written to be read: the judge of everything fast.
//
// Picture: patches -> VisionModel -> image embeddings and deepstack features. Text: tokens, with
// the image embeddings in the rows of the image tokens -> TextModel -> logits. Equal to Hugging
// Face transformers in float32 within 2e-5 of every stage's largest magnitude.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "reference/math.h"
#include "reference/weights.h"
#include "vision/patches.h"

namespace qhx::reference {

// Sees intermediate values as they are made: "block_out_03" [N, Hv] after each vision block,
// "layer_out_03" [T, H] after each decoder layer before any deepstack addition. May be empty.
using Observer = std::function<void(std::string_view stage, const Matrix& value)>;

struct VisionOutput {
  Matrix vision_in;     // [N, Hv] patch and position embedding, what enters the first block
  Matrix image_embeds;  // [N / merge^2, H]
  std::vector<Matrix> deepstack;  // [N / merge^2, H] each, in the order of the blocks
};

class VisionModel {
 public:
  static Result<VisionModel> load(const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                  WeightFormat format);

  // patches [N, C * T * P * P] of one picture, as vision::extract_patches() gives them (QHX_CHECK).
  VisionOutput run(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
                   const Observer& observer = {}) const;

 private:
  struct Block {
    LayerNorm norm1, norm2;
    Linear qkv, proj, fc1, fc2;
  };
  struct Merger {
    LayerNorm norm;
    Linear fc1, fc2;
  };
  static Result<Block> load_block(const WeightReader& reader, std::size_t index);
  static Result<Merger> load_merger(const WeightReader& reader, const std::string& prefix);
  Matrix merge(const Merger& merger, const Matrix& x, bool norm_first, ThreadPool& pool) const;
  void run_block(const Block& block, std::span<const float> cos, std::span<const float> sin,
                 Matrix& x, ThreadPool& pool) const;

  hf::VisionConfig config_;
  Linear patch_embed_;
  Matrix positions_;
  std::vector<Block> blocks_;
  Merger merger_;
  std::vector<Merger> deepstack_;
};

// Keys (normed and rotated) and values of the tokens so far; one for each conversation.
struct KvCache {
  struct Layer {
    Matrix k, v;  // [tokens, kv_width]
  };
  std::vector<Layer> layers;
  std::size_t tokens = 0;
  std::int32_t rope_delta = 0;
};

struct TextInput {
  std::span<const std::int32_t> tokens;
  std::span<const std::int32_t> positions;  // [3, T]
  std::int32_t rope_delta = 0;              // for the decode steps that follow
  // Rows for the image tokens, in order, all pictures of the prompt; null without a picture.
  const VisionOutput* pictures = nullptr;
};

struct TextOutput {
  Matrix hidden;              // [T, H] after the final norm
  std::vector<float> logits;  // [vocab] of the last token
};

class TextModel {
 public:
  static Result<TextModel> load(const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                WeightFormat format);

  // Starts `cache` anew. kInvalidArgument for ids outside the vocabulary or a number of image
  // tokens that is not that of the image rows.
  Result<TextOutput> prefill(const TextInput& input, KvCache& cache, ThreadPool& pool,
                             const Observer& observer = {}) const;
  // One more token at the end of `cache`, which prefill() began.
  Result<TextOutput> decode_step(std::int32_t token, KvCache& cache, ThreadPool& pool) const;

 private:
  struct Layer {
    std::vector<float> input_norm, post_norm, q_norm, k_norm;
    Linear q, k, v, o, gate, up, down;
  };
  static Result<Layer> load_layer(const WeightReader& reader, std::size_t index);
  Result<Matrix> embed(std::span<const std::int32_t> tokens) const;
  TextOutput run(Matrix x, std::span<const std::int32_t> positions,
                 std::span<const std::size_t> image_rows, const VisionOutput* pictures,
                 KvCache& cache, ThreadPool& pool, const Observer& observer) const;
  void run_layer(const Layer& layer, std::span<const float> cos, std::span<const float> sin,
                 KvCache::Layer& cache, Matrix& x, ThreadPool& pool) const;

  hf::ModelConfig config_;
  Matrix embedding_;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  Linear head_;
};

// The index of the largest value, the lowest of equals.
std::int32_t argmax(std::span<const float> logits);

}  // namespace qhx::reference
