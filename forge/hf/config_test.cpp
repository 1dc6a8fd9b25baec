#include "forge/hf/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace qhx::hf {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json base_config() {
  return Json::parse(R"({
    "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
    "tie_word_embeddings": false, "image_token_id": 90, "video_token_id": 91,
    "vision_start_token_id": 92, "vision_end_token_id": 93,
    "text_config": {
      "model_type": "qwen3_vl_text", "vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 3,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 40,
      "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "hidden_act": "silu", "eos_token_id": 7,
      "attention_bias": false, "rope_theta": 5000000,
      "rope_scaling": {"rope_type": "default", "mrope_interleaved": true, "mrope_section": [4, 2, 2]}},
    "vision_config": {
      "model_type": "qwen3_vl", "depth": 4, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48,
      "hidden_act": "gelu_pytorch_tanh", "in_channels": 3, "patch_size": 8, "temporal_patch_size": 2,
      "spatial_merge_size": 2, "out_hidden_size": 24, "num_position_embeddings": 36,
      "deepstack_visual_indexes": [0, 2]}})");
}

TEST(Config, ReadsEveryField) {
  const auto config = parse_config(
      base_config().dump(),
      R"({"eos_token_id": [5, 6], "do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
          "repetition_penalty": 1.0})",
      R"({"size": {"shortest_edge": 256, "longest_edge": 4096}, "patch_size": 8, "temporal_patch_size": 2,
          "merge_size": 2, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3]})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->text.vocab_size, 100u);
  EXPECT_EQ(config->text.q_width(), 64u);
  EXPECT_EQ(config->text.kv_width(), 32u);
  EXPECT_EQ(config->text.rope_theta, 5e6);
  EXPECT_EQ(config->text.rms_norm_eps, 1e-6f);
  EXPECT_THAT(config->text.mrope_section, ElementsAre(4, 2, 2));
  EXPECT_EQ(config->vision.position_grid, 6u);
  EXPECT_EQ(config->vision.patch_values(), 384u);
  EXPECT_EQ(config->vision.merged_width(), 128u);
  EXPECT_THAT(config->vision.deepstack_layers, ElementsAre(0, 2));
  EXPECT_EQ(config->image_token_id, 90);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_THAT(config->generation.eos_token_ids, ElementsAre(5, 6));
  EXPECT_TRUE(config->generation.do_sample);
  EXPECT_EQ(config->generation.top_k, 20);
  EXPECT_EQ(config->preprocessor.min_pixels, 256u);
  EXPECT_EQ(config->preprocessor.mean[0], 0.4f);
  EXPECT_EQ(config->preprocessor.std[2], 0.3f);
}

TEST(Config, OptionalFilesHaveDefaults) {
  const auto config = parse_config(base_config().dump(), "", "");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->generation.eos_token_ids, ElementsAre(7));
  EXPECT_EQ(config->preprocessor.max_pixels, 16777216u);
}

TEST(Config, DeepstackMergersMayTakeTheBlocksInAnyOrder) {
  Json json = base_config();
  json["vision_config"]["deepstack_visual_indexes"] = {3, 1};
  const auto config = parse_config(json.dump(), "", "");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->vision.deepstack_layers, ElementsAre(3, 1));
  EXPECT_EQ(config->vision.deepstack_merger_of(3), 0u);
  EXPECT_EQ(config->vision.deepstack_merger_of(1), 1u);
  EXPECT_EQ(config->vision.deepstack_merger_of(0), std::nullopt);
}

TEST(Config, FirstLayersKeepWhatTheyNeed) {
  const auto whole = parse_config(base_config().dump(), "", "");
  ASSERT_TRUE(whole.ok()) << whole.status();
  const ModelConfig cut = first_layers(*whole, 2);
  EXPECT_EQ(cut.text.n_layers, 2u);
  EXPECT_EQ(cut.vision.depth, 2u);
  EXPECT_THAT(cut.vision.deepstack_layers, ElementsAre(0));
  const ModelConfig same = first_layers(*whole, 9);
  EXPECT_EQ(same.text.n_layers, 3u);
  EXPECT_EQ(same.vision.depth, 4u);
  EXPECT_THAT(same.vision.deepstack_layers, ElementsAre(0, 2));
}

TEST(Config, ReadsTheNewerSpelling) {
  Json json = base_config();
  Json& text = json["text_config"];
  text["rope_parameters"] = text["rope_scaling"];
  text["rope_parameters"]["rope_theta"] = 10000.0;
  text.erase("rope_scaling");
  text.erase("rope_theta");
  json["vision_config"]["model_type"] = "qwen3_vl_vision";
  json.erase("tie_word_embeddings");
  text["tie_word_embeddings"] = true;
  const auto config = parse_config(json.dump(), "", "");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->text.rope_theta, 1e4);
  EXPECT_TRUE(config->tie_word_embeddings);
}

struct Change {
  std::string pointer;
  Json value;  // null removes the field
  StatusCode code;
  std::string message;
};

TEST(Config, NamesFieldExpectedAndFound) {
  const auto corrupt = StatusCode::kCorrupt;
  const auto unsupported = StatusCode::kUnsupported;
  const std::vector<Change> changes = {
      {"/text_config", nullptr, corrupt,
       "config.json: text_config: expected an object, found nothing"},
      {"/text_config/head_dim", 15, corrupt,
       "text_config.head_dim: expected an even number, found 15"},
      {"/text_config/head_dim", nullptr, corrupt, "text_config.head_dim"},
      {"/text_config/head_dim", "16", corrupt, "found \"16\""},
      {"/text_config/hidden_size", 0, corrupt, "hidden_size: expected a whole number from 1"},
      {"/text_config/hidden_size", -4, corrupt, "found -4"},
      {"/text_config/hidden_size", 1e30, corrupt, "hidden_size"},
      {"/text_config/vocab_size", 90, corrupt,
       "image_token_id: expected a whole number from 0 to 89"},
      {"/text_config/num_key_value_heads", 3, corrupt, "a divisor of num_attention_heads = 4"},
      {"/text_config/rope_scaling/mrope_section", Json::array({4, 2, 1}), corrupt,
       "head_dim / 2 = 8"},
      {"/text_config/rope_scaling/mrope_section", Json::array({4, 4}), corrupt, "a list of 3"},
      {"/text_config/rope_scaling/mrope_section", Json::array({4, 2, "x"}), corrupt,
       "whole numbers"},
      {"/text_config/rope_scaling/rope_type", "yarn", unsupported, "found \"yarn\""},
      {"/text_config/rope_scaling/mrope_interleaved", false, unsupported, "mrope_interleaved"},
      {"/text_config/rope_theta", 0, corrupt, "rope_theta"},
      {"/text_config/rms_norm_eps", "tiny", corrupt, "rms_norm_eps"},
      {"/text_config/hidden_act", "gelu", unsupported, "hidden_act"},
      {"/text_config/attention_bias", true, unsupported, "attention_bias"},
      {"/text_config/model_type", "qwen3_vl_moe_text", unsupported, "model_type"},
      {"/vision_config/deepstack_visual_indexes", Json::array({0, 4}), corrupt, "below depth = 4"},
      {"/vision_config/deepstack_visual_indexes", Json::array({2, 2}), corrupt, "different block"},
      {"/vision_config/deepstack_visual_indexes", Json::array({3, 1, 3}), corrupt, "[3,1,3]"},
      {"/vision_config/num_position_embeddings", 35, corrupt, "a perfect square, found 35"},
      {"/vision_config/num_heads", 3, corrupt, "a multiple of 4 * num_heads = 12"},
      {"/vision_config/out_hidden_size", 32, corrupt, "text_config.hidden_size = 24, found 32"},
      {"/vision_config/in_channels", 1, corrupt, "in_channels"},
      {"/vision_config/hidden_act", "gelu", unsupported, "hidden_act"},
      {"/model_type", "qwen2_vl", unsupported, "expected \"qwen3_vl\""},
      {"/architectures", Json::array({"Qwen3VLMoeForConditionalGeneration"}), unsupported,
       "architectures"},
      {"/video_token_id", 90, corrupt, "another id"},
      {"/text_config/eos_token_id", nullptr, corrupt, "eos_token_id"},
      {"/text_config/eos_token_id", 100, corrupt, "eos_token_id"},
  };
  for (const Change& change : changes) {
    Json json = base_config();
    const Json::json_pointer pointer(change.pointer);
    if (change.value.is_null()) {
      json[pointer.parent_pointer()].erase(pointer.back());
    } else {
      json[pointer] = change.value;
    }
    const auto config = parse_config(json.dump(), "", "");
    ASSERT_FALSE(config.ok()) << change.pointer;
    EXPECT_EQ(config.status().code(), change.code) << config.status();
    EXPECT_THAT(config.status().message(), HasSubstr(change.message));
  }
}

TEST(Config, ChecksTheOtherFiles) {
  const std::string main = base_config().dump();
  const auto message = [&](const char* generation, const char* preprocessor) {
    const auto config = parse_config(main, generation, preprocessor);
    return config.ok() ? std::string("ok") : config.status().message();
  };
  EXPECT_THAT(message(R"({"eos_token_id": [5, 100]})", ""),
              HasSubstr("generation_config.json: eos_token_id"));
  EXPECT_THAT(message(R"({"top_p": 1.5})", ""), HasSubstr("top_p"));
  EXPECT_THAT(message("[]", ""), HasSubstr("generation_config.json"));
  EXPECT_THAT(message("{", ""), HasSubstr("JSON"));
  EXPECT_THAT(message("", R"({"patch_size": 16})"),
              HasSubstr("preprocessor_config.json: patch_size: expected 8"));
  EXPECT_THAT(message("", R"({"image_std": [0, 1, 1]})"), HasSubstr("image_std"));
  EXPECT_THAT(message("", R"({"image_mean": [0.5]})"), HasSubstr("a list of 3"));
  EXPECT_THAT(message("", R"({"do_normalize": false})"), HasSubstr("do_normalize"));
  EXPECT_THAT(message("", R"({"min_pixels": 9, "max_pixels": 8})"), HasSubstr("max_pixels"));
  EXPECT_THAT(message("", R"({"rescale_factor": 0.00392156862745098})"), "ok");
}

// A checkpoint with every tensor that `config` needs, after `change` had its way with the list.
class TensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qhx-config-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  Status validate(const ModelConfig& config, const std::vector<ExpectedTensor>& tensors,
                  const char* dtype) {
    Json header;
    std::size_t end = 0;
    for (const ExpectedTensor& tensor : tensors) {
      std::size_t bytes = 2;
      for (const std::size_t extent : tensor.shape) bytes *= extent;
      header[tensor.name] = {
          {"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {end, end + bytes}}};
      end += bytes;
    }
    const std::string text = header.dump();
    std::string file;
    for (int i = 0; i < 8; ++i) file += static_cast<char>((text.size() >> (8 * i)) & 0xFF);
    file += text + std::string(end, '\0');
    EXPECT_TRUE(write_file(folder_ / "model.safetensors", file).ok());
    const auto checkpoint = Checkpoint::open(folder_);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return validate_tensors(config, *checkpoint);
  }
  fs::path folder_;
};

TEST_F(TensorsTest, AcceptsTheExactSetAndNamesWhatIsWrong) {
  ModelConfig config = parse_config(base_config().dump(), "", "").value();
  const std::vector<ExpectedTensor> all = expected_tensors(config);
  // 12 a block, 6 a merger, 3 of the embeddings; 11 a layer, embedding, norm, head.
  EXPECT_EQ(all.size(), 4u * 12 + 3 * 6 + 3 + 3 * 11 + 3);
  EXPECT_TRUE(validate(config, all, "BF16").ok());

  EXPECT_THAT(validate(config, all, "I16").message(),
              HasSubstr("expected F32, F16 or BF16, found i16"));

  std::vector<ExpectedTensor> without_head(all.begin(), all.end() - 1);
  EXPECT_THAT(validate(config, without_head, "BF16").message(), HasSubstr("lm_head.weight"));
  config.tie_word_embeddings = true;
  EXPECT_TRUE(validate(config, without_head, "F16").ok());

  std::vector<ExpectedTensor> reshaped = all;
  for (ExpectedTensor& tensor : reshaped) {
    if (tensor.name == "model.visual.merger.norm.weight") tensor.shape = {128};
  }
  const Status status = validate(config, reshaped, "BF16");
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_THAT(status.message(), HasSubstr("merger.norm.weight: expected shape [32], found [128]"));
}

TEST_F(TensorsTest, LoadsAFolder) {
  EXPECT_EQ(load_config(folder_).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(write_file(folder_ / "config.json", base_config().dump()).ok());
  EXPECT_TRUE(load_config(folder_).ok());
  ASSERT_TRUE(
      write_file(folder_ / "preprocessor_config.json", std::string_view("{\"merge_size\": 4}"))
          .ok());
  EXPECT_THAT(load_config(folder_).status().message(), HasSubstr("merge_size"));
}

}  // namespace
}  // namespace qhx::hf
