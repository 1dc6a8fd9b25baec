#include "forge/hf/config.h"

#include <algorithm>
#include <cmath>
#include <concepts>

#include "base/file.h"
#include "forge/hf/json_text.h"

namespace qhx::hf {
namespace {

using Json = nlohmann::json;

// Far above any model, and low enough that no product of two of them overflows 64 bits.
constexpr std::size_t kMaxVocab = std::size_t{1} << 24;
constexpr std::size_t kMaxWidth = std::size_t{1} << 18;
constexpr std::size_t kMaxCount = std::size_t{1} << 10;
constexpr std::size_t kMaxPixels = std::size_t{1} << 32;
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 24;

// One JSON object of a file, with the path to it. Getters of all sections of a file share one
// Status: the first error is kept, and a getter that fails returns its fallback, so that reading
// goes on without a check after each field.
class Section {
 public:
  Section(std::string where, const Json& value, Status& status)
      : where_(std::move(where)), value_(&value), status_(&status) {}

  bool has(const char* field) const {
    return value_->contains(field) && !(*value_)[field].is_null();
  }
  Status& status() const { return *status_; }

  void fail(StatusCode code, const std::string& field, const std::string& expected) const {
    if (!status_->ok()) return;
    std::string found = "nothing";
    if (has(field.c_str())) found = short_dump((*value_)[field]);
    *status_ = Status(code, where_ + field + ": expected " + expected + ", found " + found);
  }
  void fail(const std::string& field, const std::string& expected) const {
    fail(StatusCode::kCorrupt, field, expected);
  }

  std::size_t size(const char* field, std::size_t low, std::size_t high) const {
    if (has(field) && (*value_)[field].is_number_unsigned()) {
      const auto number = (*value_)[field].get<std::uint64_t>();
      if (number >= low && number <= high) return number;
    }
    fail(field, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
  }

  // A finite number in (low, high].
  double number(const char* field, double low, double high) const {
    if (has(field) && (*value_)[field].is_number()) {
      const double number = (*value_)[field].get<double>();
      if (number > low && number <= high) return number;
    }
    fail(field, "a number above " + short_text(low) + ", at most " + short_text(high));
    return high;
  }

  bool boolean(const char* field) const {
    if (has(field) && (*value_)[field].is_boolean()) return (*value_)[field].get<bool>();
    fail(field, "true or false");
    return false;
  }

  // `want`, or nothing at all: anything else is a variant that the family's code would treat
  // differently.
  void only(const char* field, const Json& want) const {
    if (has(field) && (*value_)[field] != want) {
      fail(StatusCode::kUnsupported, field, want.dump() + " (other variants are not supported)");
    }
  }

  const Json* array(const char* field, std::size_t min_items, std::size_t max_items) const {
    if (has(field) && (*value_)[field].is_array()) {
      const Json& items = (*value_)[field];
      if (items.size() >= min_items && items.size() <= max_items) return &items;
    }
    fail(field, min_items == max_items ? "a list of " + std::to_string(min_items)
                                       : "a list of " + std::to_string(min_items) + " to " +
                                             std::to_string(max_items));
    return nullptr;
  }

  Section section(const char* field) const {
    static const Json kEmpty = Json::object();
    if (has(field) && (*value_)[field].is_object()) {
      return {where_ + field + ".", (*value_)[field], *status_};
    }
    fail(field, "an object");
    return {where_ + field + ".", kEmpty, *status_};
  }

  const Json& at(const char* field) const { return (*value_)[field]; }

 private:
  static std::string short_text(double value) { return Json(value).dump(); }

  std::string where_;
  const Json* value_;
  Status* status_;
};

void read_rope(const Section& text, TextConfig& config) {
  const bool newer = text.has("rope_parameters");
  const Section rope = text.section(newer ? "rope_parameters" : "rope_scaling");
  const Section& holder = newer && rope.has("rope_theta") ? rope : text;
  config.rope_theta = holder.number("rope_theta", 0.0, 1e12);
  rope.only("rope_type", "default");
  rope.only("mrope_interleaved", true);
  const Json* sections = rope.array("mrope_section", 3, 3);
  if (sections == nullptr) return;
  std::size_t sum = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const Json& item = (*sections)[axis];
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kMaxCount) {
      return rope.fail("mrope_section", "three whole numbers");
    }
    config.mrope_section[axis] = item.get<int>();
    sum += item.get<std::size_t>();
  }
  if (sum * 2 != config.head_dim) {
    rope.fail("mrope_section",
              "numbers whose sum is head_dim / 2 = " + std::to_string(config.head_dim / 2));
  }
}

TextConfig read_text(const Section& text) {
  TextConfig config;
  config.vocab_size = text.size("vocab_size", 1, kMaxVocab);
  config.hidden_size = text.size("hidden_size", 1, kMaxWidth);
  config.n_layers = text.size("num_hidden_layers", 1, kMaxCount);
  config.n_heads = text.size("num_attention_heads", 1, kMaxCount);
  config.n_kv_heads = text.size("num_key_value_heads", 1, kMaxCount);
  config.head_dim = text.size("head_dim", 2, kMaxCount);
  config.intermediate_size = text.size("intermediate_size", 1, kMaxWidth);
  config.max_position_embeddings = text.size("max_position_embeddings", 1, kMaxVocab);
  config.rms_norm_eps = static_cast<float>(text.number("rms_norm_eps", 0.0, 1.0));
  if (config.n_heads % config.n_kv_heads != 0) {
    text.fail("num_key_value_heads",
              "a divisor of num_attention_heads = " + std::to_string(config.n_heads));
  }
  if (config.head_dim % 2 != 0) text.fail("head_dim", "an even number");
  text.only("hidden_act", "silu");
  text.only("attention_bias", false);
  read_rope(text, config);
  return config;
}

void read_deepstack(const Section& vision, VisionConfig& config) {
  const Json* indexes = vision.array("deepstack_visual_indexes", 0, config.depth);
  if (indexes == nullptr) return;
  for (const Json& item : *indexes) {
    const bool valid = item.is_number_unsigned() && item.get<std::uint64_t>() < config.depth;
    if (!valid || config.deepstack_merger_of(item.get<std::size_t>())) {
      return vision.fail("deepstack_visual_indexes",
                         "different block numbers below depth = " + std::to_string(config.depth));
    }
    config.deepstack_layers.push_back(item.get<std::size_t>());
  }
}

VisionConfig read_vision(const Section& vision) {
  VisionConfig config;
  config.depth = vision.size("depth", 1, kMaxCount);
  config.hidden_size = vision.size("hidden_size", 1, kMaxWidth);
  config.n_heads = vision.size("num_heads", 1, kMaxCount);
  config.intermediate_size = vision.size("intermediate_size", 1, kMaxWidth);
  config.in_channels = vision.size("in_channels", 3, 3);
  config.patch_size = vision.size("patch_size", 1, 128);
  config.temporal_patch_size = vision.size("temporal_patch_size", 1, 16);
  config.spatial_merge_size = vision.size("spatial_merge_size", 1, 16);
  config.out_hidden_size = vision.size("out_hidden_size", 1, kMaxWidth);
  const std::size_t positions = vision.size("num_position_embeddings", 1, kMaxVocab);
  config.position_grid =
      static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(positions))));
  if (config.position_grid * config.position_grid != positions) {
    vision.fail("num_position_embeddings", "a perfect square");
  }
  // Rotary pairs are split evenly between row and column.
  if (config.hidden_size % (4 * config.n_heads) != 0) {
    vision.fail("hidden_size",
                "a multiple of 4 * num_heads = " + std::to_string(4 * config.n_heads));
  }
  vision.only("hidden_act", "gelu_pytorch_tanh");
  read_deepstack(vision, config);
  return config;
}

std::int32_t read_token(const Section& section, const char* field, std::size_t vocab_size) {
  return static_cast<std::int32_t>(section.size(field, 0, vocab_size - 1));
}

// A token id or a list of them.
std::vector<std::int32_t> read_token_list(const Section& section, const char* field,
                                          std::size_t vocab_size) {
  if (!section.at(field).is_array()) return {read_token(section, field, vocab_size)};
  std::vector<std::int32_t> tokens;
  for (const Json& item : section.at(field)) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() >= vocab_size) {
      section.fail(field, "token ids below vocab_size = " + std::to_string(vocab_size));
      return tokens;
    }
    tokens.push_back(item.get<std::int32_t>());
  }
  return tokens;
}

void read_generation(const Section& file, std::size_t vocab_size, GenerationConfig& config) {
  if (file.has("eos_token_id"))
    config.eos_token_ids = read_token_list(file, "eos_token_id", vocab_size);
  if (file.has("do_sample")) config.do_sample = file.boolean("do_sample");
  if (file.has("temperature"))
    config.temperature = static_cast<float>(file.number("temperature", -1e-9, 1e3));
  if (file.has("top_p")) config.top_p = static_cast<float>(file.number("top_p", 0.0, 1.0));
  if (file.has("top_k")) config.top_k = static_cast<int>(file.size("top_k", 0, kMaxVocab));
  if (file.has("repetition_penalty")) {
    config.repetition_penalty = static_cast<float>(file.number("repetition_penalty", 0.0, 1e3));
  }
}

void read_triple(const Section& file, const char* field, double above, std::array<float, 3>& out) {
  if (!file.has(field)) return;
  const Json* items = file.array(field, 3, 3);
  for (std::size_t i = 0; items != nullptr && i < 3; ++i) {
    const Json& item = (*items)[i];
    if (!item.is_number() || !(item.get<double>() > above) || !(item.get<double>() <= 1e3)) {
      return file.fail(field, "three numbers above " + Json(above).dump());
    }
    out[i] = item.get<float>();
  }
}

void read_preprocessor(const Section& file, const VisionConfig& vision,
                       PreprocessorConfig& config) {
  const bool has_size = file.has("size");
  const Section size = has_size ? file.section("size") : file;
  const char* low = has_size ? "shortest_edge" : "min_pixels";
  const char* high = has_size ? "longest_edge" : "max_pixels";
  if (size.has(low)) config.min_pixels = size.size(low, 1, kMaxPixels);
  if (size.has(high)) config.max_pixels = size.size(high, 1, kMaxPixels);
  if (config.min_pixels > config.max_pixels) {
    size.fail(high, "at least " + std::string(low) + " = " + std::to_string(config.min_pixels));
  }
  read_triple(file, "image_mean", -1e3, config.mean);
  read_triple(file, "image_std", 0.0, config.std);
  file.only("patch_size", vision.patch_size);
  file.only("temporal_patch_size", vision.temporal_patch_size);
  file.only("merge_size", vision.spatial_merge_size);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"})
    file.only(step, true);
  file.only("resample", 3);  // bicubic
  if (file.has("rescale_factor") &&
      std::abs(file.number("rescale_factor", 0.0, 1.0) - 1.0 / 255.0) > 1e-9) {
    file.fail(StatusCode::kUnsupported, "rescale_factor", "1/255");
  }
}

void check_family(const Section& root) {
  if (!root.has("model_type") || root.at("model_type") != "qwen3_vl") {
    root.fail(StatusCode::kUnsupported, "model_type",
              "\"qwen3_vl\" (the family this program knows)");
  }
  root.only("architectures", Json::array({"Qwen3VLForConditionalGeneration"}));
}

void check_together(const Section& root, const ModelConfig& config) {
  const VisionConfig& vision = config.vision;
  if (vision.out_hidden_size != config.text.hidden_size) {
    root.section("vision_config")
        .fail("out_hidden_size",
              "text_config.hidden_size = " + std::to_string(config.text.hidden_size));
  }
  if (vision.deepstack_layers.size() > config.text.n_layers) {
    root.section("vision_config")
        .fail("deepstack_visual_indexes", "at most text_config.num_hidden_layers = " +
                                              std::to_string(config.text.n_layers) + " entries");
  }
  if (config.image_token_id == config.video_token_id) {
    root.fail("video_token_id", "another id than image_token_id");
  }
}

void read_main(const Section& root, ModelConfig& config) {
  check_family(root);
  const Section text = root.section("text_config");
  const Section vision = root.section("vision_config");
  if (!root.status().ok()) return;
  if (vision.has("model_type") && vision.at("model_type") != "qwen3_vl_vision")
    vision.only("model_type", "qwen3_vl");
  text.only("model_type", "qwen3_vl_text");
  config.text = read_text(text);
  config.vision = read_vision(vision);
  // The top level decides where both speak.
  const Section& tie = root.has("tie_word_embeddings") ? root : text;
  config.tie_word_embeddings = tie.has("tie_word_embeddings") && tie.boolean("tie_word_embeddings");
  const std::size_t vocab_size = config.text.vocab_size;
  config.image_token_id = read_token(root, "image_token_id", vocab_size);
  config.video_token_id = read_token(root, "video_token_id", vocab_size);
  config.vision_start_token_id = read_token(root, "vision_start_token_id", vocab_size);
  config.vision_end_token_id = read_token(root, "vision_end_token_id", vocab_size);
  if (text.has("eos_token_id")) {
    config.generation.eos_token_ids = read_token_list(text, "eos_token_id", vocab_size);
  }
  check_together(root, config);
}

template <std::invocable<const Section&> Read>
Status read_json_file(const char* file, std::string_view text, Read read) {
  auto root = parse_json(text);
  if (!root.ok()) return root.status().with_context(file);
  if (!root->is_object()) return corrupt(std::string(file) + ": expected a JSON object");
  Status status;
  read(Section(std::string(file) + ": ", *root, status));
  return status;
}

Result<std::string> read_optional(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::string();
  return read_file(file, kMaxConfigBytes);
}

}  // namespace

std::optional<std::size_t> VisionConfig::deepstack_merger_of(std::size_t block) const {
  const auto found = std::find(deepstack_layers.begin(), deepstack_layers.end(), block);
  if (found == deepstack_layers.end()) return std::nullopt;
  return static_cast<std::size_t>(found - deepstack_layers.begin());
}

Result<ModelConfig> parse_config(std::string_view config_json, std::string_view generation_json,
                                 std::string_view preprocessor_json) {
  ModelConfig config;
  QHX_RETURN_IF_ERROR(read_json_file("config.json", config_json,
                                     [&](const Section& root) { read_main(root, config); }));
  if (!generation_json.empty()) {
    QHX_RETURN_IF_ERROR(
        read_json_file("generation_config.json", generation_json, [&](const Section& root) {
          read_generation(root, config.text.vocab_size, config.generation);
        }));
  }
  if (!preprocessor_json.empty()) {
    QHX_RETURN_IF_ERROR(read_json_file(
        "preprocessor_config.json", preprocessor_json,
        [&](const Section& root) { read_preprocessor(root, config.vision, config.preprocessor); }));
  }
  if (config.generation.eos_token_ids.empty()) {
    return corrupt(
        "generation_config.json: eos_token_id: expected token ids here or in config.json's "
        "text_config, found none");
  }
  return config;
}

Result<ModelConfig> load_config(const std::filesystem::path& folder) {
  QHX_ASSIGN_OR_RETURN(const std::string main, read_file(folder / "config.json", kMaxConfigBytes));
  QHX_ASSIGN_OR_RETURN(const std::string generation,
                       read_optional(folder / "generation_config.json"));
  QHX_ASSIGN_OR_RETURN(const std::string preprocessor,
                       read_optional(folder / "preprocessor_config.json"));
  return parse_config(main, generation, preprocessor).with_context(folder.string());
}

ModelConfig first_layers(ModelConfig config, std::size_t layers) {
  config.text.n_layers = std::min(config.text.n_layers, layers);
  config.vision.depth = std::min(config.vision.depth, layers);
  std::erase_if(config.vision.deepstack_layers,
                [&](std::size_t block) { return block >= config.vision.depth; });
  return config;
}

}  // namespace qhx::hf
