// The configuration of a Qwen3-VL checkpoint: config.json, generation_config.json and
// preprocessor_config.json as one typed, checked value. Nothing here knows a particular model;
// every number comes from the files.
//
// Both spellings in use are read: rope_scaling + rope_theta, and the newer rope_parameters;
// tie_word_embeddings at the top or in text_config; a vision model_type of qwen3_vl or
// qwen3_vl_vision.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "forge/hf/safetensors.h"

namespace qhx::hf {

struct TextConfig {
  std::size_t vocab_size = 0;
  std::size_t hidden_size = 0;
  std::size_t n_layers = 0;
  std::size_t n_heads = 0;
  std::size_t n_kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t intermediate_size = 0;
  std::size_t max_position_embeddings = 0;
  float rms_norm_eps = 0;
  double rope_theta = 0;
  std::array<int, 3> mrope_section{};  // rotary pairs for time, height, width

  std::size_t q_width() const { return n_heads * head_dim; }
  std::size_t kv_width() const { return n_kv_heads * head_dim; }
};

struct VisionConfig {
  std::size_t depth = 0;
  std::size_t hidden_size = 0;
  std::size_t n_heads = 0;
  std::size_t intermediate_size = 0;
  std::size_t in_channels = 0;
  std::size_t patch_size = 0;
  std::size_t temporal_patch_size = 0;
  std::size_t spatial_merge_size = 0;
  std::size_t out_hidden_size = 0;
  std::size_t position_grid = 0;  // side of the square grid of position embeddings
  // Entry m is the block whose output deepstack merger m takes: any order, no block twice.
  std::vector<std::size_t> deepstack_layers;

  // The deepstack merger that takes the output of a block. Features are numbered as they come out,
  // in the order of the blocks, which need not be that of the mergers.
  std::optional<std::size_t> deepstack_merger_of(std::size_t block) const;

  std::size_t head_dim() const { return hidden_size / n_heads; }
  std::size_t patch_values() const {
    return in_channels * temporal_patch_size * patch_size * patch_size;
  }
  // Patches that become one token, and the width of their concatenation.
  std::size_t merge_unit() const { return spatial_merge_size * spatial_merge_size; }
  std::size_t merged_width() const { return hidden_size * merge_unit(); }
};

// What the checkpoint's makers suggest. Fields that the file lacks keep these neutral defaults.
struct GenerationConfig {
  std::vector<std::int32_t>
      eos_token_ids;  // from generation_config.json, else text_config.eos_token_id
  bool do_sample = false;
  float temperature = 1.0f;
  float top_p = 1.0f;
  int top_k = 0;  // 0: no limit
  float repetition_penalty = 1.0f;
};

// How a picture becomes pixel values. Without preprocessor_config.json: the family's defaults, all
// of them here.
struct PreprocessorConfig {
  std::size_t min_pixels = 65536;
  std::size_t max_pixels = 16777216;
  std::array<float, 3> mean{0.5f, 0.5f, 0.5f};
  std::array<float, 3> std{0.5f, 0.5f, 0.5f};
};

struct ModelConfig {
  TextConfig text;
  VisionConfig vision;
  bool tie_word_embeddings = false;
  std::int32_t image_token_id = 0;
  std::int32_t video_token_id = 0;
  std::int32_t vision_start_token_id = 0;
  std::int32_t vision_end_token_id = 0;
  GenerationConfig generation;
  PreprocessorConfig preprocessor;
};

// Fixed in the family's code, in no file.
inline constexpr float kVisionLayerNormEps = 1e-6f;
inline constexpr double kVisionRopeTheta = 10000.0;

// The three files' texts; the last two may be empty (file absent). Messages begin with the file's
// name and the field: "config.json: text_config.head_dim: expected an even number, found 63".
// kUnsupported for another model family, kCorrupt for the rest.
Result<ModelConfig> parse_config(std::string_view config_json, std::string_view generation_json,
                                 std::string_view preprocessor_json);

// From a folder. config.json must exist, the other two may be absent.
Result<ModelConfig> load_config(const std::filesystem::path& folder);

// The same model with its first layers alone, of the text decoder and of the vision encoder: what
// it computes means nothing, what it costs does.
ModelConfig first_layers(ModelConfig config, std::size_t layers);

struct ExpectedTensor {
  std::string name;
  std::vector<std::size_t> shape;
};

// Every tensor the model needs, with its shape (linears are [out, in]), in the order of use.
// lm_head.weight only if the head is not tied.
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);

// kNotFound or kCorrupt for the first needed tensor that is absent, has another shape or is not
// F32, F16 or BF16. Tensors that are not needed are ignored.
Status validate_tensors(const ModelConfig& config, const Checkpoint& checkpoint);

}  // namespace qhx::hf
