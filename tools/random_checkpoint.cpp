#include "random_checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/f16.h"
#include "base/file.h"
#include "base/hash.h"
#include "forge/hf/config.h"

namespace qhx::tools {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kChunk = std::size_t{1} << 20;  // elements written at a time
constexpr std::size_t kPiece = std::size_t{1} << 14;  // elements made by one piece of work

// A bijective mix of 64 bits (the finalizer of SplitMix64): neighbouring counters give unrelated
// values, so every element can be made on its own, on any thread.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Near enough to a standard normal: the sum of four uniform 16-bit numbers, scaled to variance 1.
float near_normal(std::uint64_t key, std::size_t index) {
  const std::uint64_t bits = mix(key + index);
  const auto sum = static_cast<float>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) +
                                      (bits >> 32 & 0xFFFF) + (bits >> 48));
  return (sum / 65536.0f - 2.0f) * 1.7320508f;
}

struct Distribution {
  float mean = 0, spread = 1;
};

Distribution distribution_of(const hf::ExpectedTensor& tensor) {
  const bool weight = tensor.name.ends_with(".weight");
  if (tensor.shape.size() == 1) return weight ? Distribution{1, 0.1f} : Distribution{0, 0.05f};
  if (tensor.name.ends_with("pos_embed.weight")) return {0, 0.3f};
  double inputs = 1;
  for (std::size_t i = 1; i < tensor.shape.size(); ++i)
    inputs *= static_cast<double>(tensor.shape[i]);
  return {0, static_cast<float>(1.0 / std::sqrt(inputs))};
}

void store(float value, DType dtype, std::byte* to) {
  if (dtype == DType::kF32) {
    std::memcpy(to, &value, 4);
    return;
  }
  std::uint16_t half = 0;
  if (dtype == DType::kF16) {
    half = f32_to_f16(value);
  } else {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    half = static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
  }
  std::memcpy(to, &half, 2);
}

std::size_t element_count(const hf::ExpectedTensor& tensor) {
  std::size_t count = 1;
  for (const std::size_t extent : tensor.shape) count *= extent;
  return count;
}

Status write_tensor(const hf::ExpectedTensor& tensor, std::uint64_t seed, DType dtype,
                    ThreadPool& pool, AtomicFile& file) {
  const std::uint64_t key = mix(seed) ^ xxh3_64(std::as_bytes(std::span(tensor.name)));
  const Distribution shape = distribution_of(tensor);
  const std::size_t count = element_count(tensor), each = size_bytes(dtype);
  std::vector<std::byte> buffer(std::min(count, kChunk) * each);
  for (std::size_t first = 0; first < count; first += kChunk) {
    const std::size_t n = std::min(kChunk, count - first);
    pool.run((n + kPiece - 1) / kPiece, [&](std::size_t piece) {
      const std::size_t end = std::min((piece + 1) * kPiece, n);
      for (std::size_t i = piece * kPiece; i < end; ++i) {
        const float value = shape.mean + shape.spread * near_normal(key, first + i);
        store(value, dtype, buffer.data() + i * each);
      }
    });
    QHX_RETURN_IF_ERROR(file.write(std::span(buffer).first(n * each)));
  }
  return {};
}

std::string safetensors_header(std::span<const hf::ExpectedTensor> tensors, DType dtype) {
  const char* type = dtype == DType::kF32 ? "F32" : dtype == DType::kF16 ? "F16" : "BF16";
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::size_t offset = 0;
  for (const hf::ExpectedTensor& tensor : tensors) {
    const std::size_t end = offset + element_count(tensor) * size_bytes(dtype);
    header[tensor.name] = {
        {"dtype", type}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

Status write_safetensors(const fs::path& path, std::span<const hf::ExpectedTensor> tensors,
                         const RandomCheckpoint& checkpoint, ThreadPool& pool) {
  QHX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const std::string header = safetensors_header(tensors, checkpoint.dtype);
  const std::uint64_t length = header.size();
  QHX_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  QHX_RETURN_IF_ERROR(file.write(header));
  for (const hf::ExpectedTensor& tensor : tensors)
    QHX_RETURN_IF_ERROR(write_tensor(tensor, checkpoint.seed, checkpoint.dtype, pool, file));
  return file.commit();
}

std::string shard_name(std::size_t index, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

// Shards of about equal numbers of elements, in the order of the list.
Status write_shards(std::span<const hf::ExpectedTensor> tensors, const RandomCheckpoint& checkpoint,
                    ThreadPool& pool) {
  std::size_t total = 0;
  for (const hf::ExpectedTensor& tensor : tensors) total += element_count(tensor);
  json index;
  index["metadata"] = {{"total_size", total * size_bytes(checkpoint.dtype)}};
  std::size_t begin = 0, done = 0;
  for (std::size_t shard = 0; shard < checkpoint.shards; ++shard) {
    const bool last = shard + 1 == checkpoint.shards;
    std::size_t end = begin;
    while (end < tensors.size() && (last || done < total * (shard + 1) / checkpoint.shards))
      done += element_count(tensors[end++]);
    const std::string name = shard_name(shard, checkpoint.shards);
    for (std::size_t i = begin; i < end; ++i) index["weight_map"][tensors[i].name] = name;
    QHX_RETURN_IF_ERROR(write_safetensors(checkpoint.folder / name,
                                          tensors.subspan(begin, end - begin), checkpoint, pool));
    begin = end;
  }
  return write_file(checkpoint.folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

Status write_configs(const RandomCheckpoint& checkpoint) {
  const json& config = checkpoint.config;
  const json& vision = config["vision_config"];
  const json generation = {{"eos_token_id", {config["text_config"]["eos_token_id"]}},
                           {"do_sample", false}};
  const json preprocessor = {{"size", {{"longest_edge", 16777216}, {"shortest_edge", 65536}}},
                             {"patch_size", vision["patch_size"]},
                             {"temporal_patch_size", vision["temporal_patch_size"]},
                             {"merge_size", vision["spatial_merge_size"]},
                             {"image_mean", {0.5, 0.5, 0.5}},
                             {"image_std", {0.5, 0.5, 0.5}}};
  QHX_RETURN_IF_ERROR(write_file(checkpoint.folder / "config.json", config.dump(2) + "\n"));
  QHX_RETURN_IF_ERROR(
      write_file(checkpoint.folder / "generation_config.json", generation.dump(2) + "\n"));
  return write_file(checkpoint.folder / "preprocessor_config.json", preprocessor.dump(2) + "\n");
}

Status copy_tokenizer(const fs::path& from, const fs::path& to) {
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "chat_template.json", "chat_template.jinja"}) {
    std::error_code error;
    if (!fs::exists(from / name, error)) continue;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, error);
    if (error) return io_error((from / name).string() + ": cannot copy: " + error.message());
  }
  return {};
}

json family_config() {
  return json::parse(R"({
    "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
    "tie_word_embeddings": true, "image_token_id": 151655, "video_token_id": 151656,
    "vision_start_token_id": 151652, "vision_end_token_id": 151653,
    "text_config": {
      "model_type": "qwen3_vl_text", "vocab_size": 151936, "hidden_size": 2048,
      "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
      "intermediate_size": 6144, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 5000000,
      "rope_scaling": {"mrope_interleaved": true, "mrope_section": [24, 20, 20],
                       "rope_type": "default"},
      "max_position_embeddings": 262144, "attention_bias": false, "attention_dropout": 0.0,
      "tie_word_embeddings": true, "use_cache": true, "bos_token_id": 151643,
      "eos_token_id": 151645, "dtype": "bfloat16", "initializer_range": 0.02},
    "vision_config": {
      "model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024, "num_heads": 16,
      "intermediate_size": 4096, "hidden_act": "gelu_pytorch_tanh", "in_channels": 3,
      "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 2048,
      "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17],
      "initializer_range": 0.02}})");
}

}  // namespace

Result<json> preset_config(std::string_view name) {
  json config = family_config();
  json &text = config["text_config"], &vision = config["vision_config"];
  if (name == "2b") return config;
  if (name == "4b") {
    text.update({{"hidden_size", 2560},
                 {"num_hidden_layers", 36},
                 {"num_attention_heads", 32},
                 {"intermediate_size", 9728}});
    vision["out_hidden_size"] = 2560;
    return config;
  }
  if (name == "tiny") {
    text.update({{"hidden_size", 64},
                 {"num_hidden_layers", 3},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"head_dim", 32},
                 {"intermediate_size", 96}});
    text["rope_scaling"]["mrope_section"] = {6, 5, 5};
    vision.update({{"depth", 4},
                   {"hidden_size", 64},
                   {"num_heads", 4},
                   {"intermediate_size", 96},
                   {"out_hidden_size", 64},
                   {"num_position_embeddings", 64},
                   {"deepstack_visual_indexes", {0, 2}}});
    return config;
  }
  return invalid_argument("preset " + std::string(name) + ": expected 2b, 4b or tiny");
}

Status adopt_tokenizer(json& config, const fs::path& folder) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(folder / "tokenizer.json"));
  const json tokenizer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!tokenizer.is_object() || !tokenizer.contains("added_tokens"))
    return corrupt((folder / "tokenizer.json").string() + ": has no added_tokens");
  constexpr std::array<std::pair<const char*, const char*>, 4> kIds = {{
      {"<|image_pad|>", "image_token_id"},
      {"<|video_pad|>", "video_token_id"},
      {"<|vision_start|>", "vision_start_token_id"},
      {"<|vision_end|>", "vision_end_token_id"},
  }};
  int largest = -1;
  for (const json& token : tokenizer["added_tokens"]) {
    const int id = token.value("id", -1);
    const std::string content = token.value("content", "");
    largest = std::max(largest, id);
    for (const auto& [name, key] : kIds) {
      if (content == name) config[key] = id;
    }
    if (content == "<|im_end|>") config["text_config"]["eos_token_id"] = id;
    if (content == "<|endoftext|>") config["text_config"]["bos_token_id"] = id;
  }
  config["text_config"]["vocab_size"] = (largest + 64) / 64 * 64;
  return {};
}

Status write_random_checkpoint(const RandomCheckpoint& checkpoint, ThreadPool& pool) {
  QHX_ASSIGN_OR_RETURN(const hf::ModelConfig config,
                       hf::parse_config(checkpoint.config.dump(), "", ""));
  std::error_code error;
  fs::create_directories(checkpoint.folder, error);
  if (error) return io_error(checkpoint.folder.string() + ": " + error.message());
  if (!checkpoint.tokenizer.empty())
    QHX_RETURN_IF_ERROR(copy_tokenizer(checkpoint.tokenizer, checkpoint.folder));
  QHX_RETURN_IF_ERROR(write_configs(checkpoint));
  const std::vector<hf::ExpectedTensor> tensors = hf::expected_tensors(config);
  if (checkpoint.shards > 1) return write_shards(tensors, checkpoint, pool);
  return write_safetensors(checkpoint.folder / "model.safetensors", tensors, checkpoint, pool);
}

}  // namespace qhx::tools
