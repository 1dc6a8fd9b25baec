// The forward pass of Qwen3-VL in plain float32, written to be read: the judge of everything fast.
//
// Picture: patches -> VisionModel -> image embeddings and deepstack features. Text: tokens, with
// the image embeddings in the rows of the image tokens -> TextModel -> logits. Equal to Hugging
// Face transformers in float32 within 2e-5 of every stage's largest magnitude.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "reference/math.h"
#include "reference/weights.h"
#include "vision/patches.h"

namespace qhx::reference {

// What an intermediate value is, and in which block, layer or deepstack feature.
//
// Vision blocks, prefix "block_": norm1 (output), q, k (rotated), scores (of one head, every pair
// of rows, neither scaled nor masked), v, attn, proj, mid (residual after attention), fc1, gelu,
// fc2, out (residual). Mergers: "deepstack_fc1", "deepstack_gelu", "deepstack"; "merger_fc1",
// "merger_gelu", "image_embeds". Decoder layers, prefix "layer_": norm1, q_proj, k_proj (before
// norm), q, k (normed and rotated), scores, v, attn, o, mid, norm2, gate, up, product (silu(gate) *
// up), down, out (residual before any deepstack addition), sum (after it, in layers that have one).
// Ends: "vision_in", "text_in", "hidden" (after the final norm), "logits" (of the last token).
struct Stage {
  std::string_view kind;
  std::optional<std::size_t> index = std::nullopt;

  // "block_out_03", "hidden".
  std::string name() const;
};

// Sees intermediate values as they are made. May be empty.
using Observer = std::function<void(const Stage& stage, const Matrix& value)>;

// Told after each block or layer of each input how many products of two numbers it took, or in the
// time of how many its weights were read, about; an error stops the pass.
using Progress = std::function<Status(double products)>;

struct PictureInput {
  Matrix patches;  // [N, C * T * P * P] as vision::extract_patches() gives them
  vision::Grid grid;
};

// Of a picture whose sides are what the model's patches and merging need.
Result<PictureInput> make_picture_input(const hf::ModelConfig& config, const vision::Image& image);

struct VisionOutput {
  Matrix vision_in;     // [N, Hv] patch and position embedding, what enters the first block
  Matrix image_embeds;  // [N / merge^2, H]
  std::vector<Matrix> deepstack;  // [N / merge^2, H] each, in the order of the blocks
};

class VisionModel {
 public:
  static Result<VisionModel> load(const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                  const WeightPlan& plan);

  // patches [N, C * T * P * P] of one picture, as vision::extract_patches() gives them (QHX_CHECK).
  VisionOutput run(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
                   const Observer& observer = {}) const;

  // load() and run() of several pictures with one block's weights in memory at a time, for
  // checkpoints that are larger than memory in float32.
  static Result<std::vector<VisionOutput>> stream(const hf::ModelConfig& config,
                                                  const hf::Checkpoint& checkpoint,
                                                  const WeightPlan& plan,
                                                  std::span<const PictureInput> pictures,
                                                  ThreadPool& pool, const Observer& observer,
                                                  const Progress& progress);
  // What stream() tells its progress in all.
  static double products(const hf::VisionConfig& config, std::span<const PictureInput> pictures);

 private:
  struct Block {
    LayerNorm norm1, norm2;
    Linear qkv, proj, fc1, fc2;
  };
  struct Merger {
    LayerNorm norm;
    Linear fc1, fc2;
  };
  // A picture on its way through the blocks.
  struct Pass {
    Matrix x;  // the residual stream
    std::vector<float> cos, sin;
    VisionOutput output;
  };
  static Result<Block> load_block(const WeightReader& reader, std::size_t index);
  static Result<Merger> load_merger(const WeightReader& reader, const std::string& prefix);
  static Result<Merger> load_deepstack(const WeightReader& reader, std::size_t index);
  Status load_ends(const WeightReader& reader);  // all but blocks and deepstack mergers

  Pass begin(const Matrix& patches, vision::Grid grid, ThreadPool& pool,
             const Observer& observer) const;
  void run_block(const Block& block, std::size_t index, Pass& pass, ThreadPool& pool,
                 const Observer& observer) const;
  // Appends the next feature to the pass's output.
  void run_deepstack(const Merger& merger, Pass& pass, ThreadPool& pool,
                     const Observer& observer) const;
  VisionOutput finish(Pass pass, ThreadPool& pool, const Observer& observer) const;

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
  // `progress` may be empty, here and below.
  static Result<TextModel> load(const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                const WeightPlan& plan, const Progress& progress = {});
  // What load() tells its progress in all.
  static double load_products(const hf::TextConfig& config);

  // Starts `cache` anew. kInvalidArgument for ids outside the vocabulary or a number of image
  // tokens that is not that of the image rows.
  Result<TextOutput> prefill(const TextInput& input, KvCache& cache, ThreadPool& pool,
                             const Observer& observer = {}, const Progress& progress = {}) const;
  // One more token at the end of `cache`, which prefill() began.
  Result<TextOutput> decode_step(std::int32_t token, KvCache& cache, ThreadPool& pool,
                                 const Progress& progress = {}) const;

  // load() and prefill() of several prompts with one layer's weights in memory at a time.
  static Result<std::vector<TextOutput>> stream(const hf::ModelConfig& config,
                                                const hf::Checkpoint& checkpoint,
                                                const WeightPlan& plan,
                                                std::span<const TextInput> prompts,
                                                ThreadPool& pool, const Observer& observer,
                                                const Progress& progress);
  // What stream(), prefill() or decode_step() of these tell their progress in all.
  static double products(const hf::TextConfig& config, std::span<const TextInput> prompts);

 private:
  struct Layer {
    std::vector<float> input_norm, post_norm, q_norm, k_norm;
    Linear q, k, v, o, gate, up, down;
  };
  // A prompt, or one more token of it, on its way through the layers.
  struct Pass {
    Matrix x;  // the residual stream
    std::vector<float> cos, sin;
    std::vector<std::size_t> image_rows;
    const VisionOutput* pictures = nullptr;
  };
  static Result<Layer> load_layer(const WeightReader& reader, std::size_t index);
  Status load_ends(const WeightReader& reader);  // final norm and head
  Result<Matrix> embed(std::span<const std::int32_t> tokens) const;
  // Puts the picture's rows into the embedded tokens.
  Result<Pass> begin(Matrix embedded, const TextInput& input, const Observer& observer) const;
  void run_layer(const Layer& layer, std::size_t index, KvCache::Layer& cache, Pass& pass,
                 ThreadPool& pool, const Observer& observer) const;
  Result<TextOutput> run(Pass pass, const TextInput& input, KvCache& cache, ThreadPool& pool,
                         const Observer& observer, const Progress& progress) const;
  TextOutput finish(Pass pass, ThreadPool& pool, const Observer& observer) const;

  hf::ModelConfig config_;
  Matrix embedding_;
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;
  Linear head_;
};

// The index of the largest value, the lowest of equals.
std::int32_t argmax(std::span<const float> logits);

}  // namespace qhx::reference
