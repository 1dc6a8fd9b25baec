#include "forge/bundle/test_checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "random_checkpoint.h"
#include "text/test_tokenizer.h"

namespace qhx::forge {

namespace fs = std::filesystem;
using nlohmann::json;

json make_config(const TestCheckpoint& checkpoint) {
  json config = std::move(tools::preset_config("tiny")).value();
  json& text = config["text_config"];
  text["vocab_size"] = checkpoint.vocab;
  text["hidden_size"] = checkpoint.hidden;
  text["intermediate_size"] = checkpoint.ffn;
  text["num_hidden_layers"] = checkpoint.layers;
  text["num_attention_heads"] = checkpoint.heads;
  text["num_key_value_heads"] = checkpoint.kv_heads;
  text["eos_token_id"] = 302;
  text["bos_token_id"] = 300;
  config["tie_word_embeddings"] = text["tie_word_embeddings"] = checkpoint.tied;
  config["image_token_id"] = 305;
  config["video_token_id"] = 306;
  config["vision_start_token_id"] = 303;
  config["vision_end_token_id"] = 304;
  config["vision_config"]["deepstack_visual_indexes"] = checkpoint.deepstack;
  config["vision_config"]["out_hidden_size"] = checkpoint.hidden;
  if (checkpoint.new_rope_spelling) {
    text["rope_parameters"] = text["rope_scaling"];
    text["rope_parameters"]["rope_theta"] = text["rope_theta"];
    text.erase("rope_scaling");
    text.erase("rope_theta");
    config["vision_config"]["model_type"] = "qwen3_vl_vision";
  }
  return config;
}

void make_checkpoint(const TestCheckpoint& checkpoint, const fs::path& folder) {
  ThreadPool pool(2);
  const Status status = tools::write_random_checkpoint({.config = make_config(checkpoint),
                                                        .folder = folder,
                                                        .seed = 9,
                                                        .shards = checkpoint.shards,
                                                        .dtype = checkpoint.dtype},
                                                       pool);
  ASSERT_TRUE(status.ok()) << status;
  json tokenizer = text::small_tokenizer_json();
  json added = json::array();
  const auto add = [&](std::size_t id, const std::string& token) {
    added.push_back({{"id", id}, {"content", token}, {"special", true}, {"normalized", false}});
  };
  std::size_t id = tokenizer["model"]["vocab"].size();
  for (; id < 300; ++id) add(id, "<|unused_" + std::to_string(id) + "|>");
  for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>",
                            "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"}) {
    add(id++, token);
  }
  tokenizer["added_tokens"] = added;
  ASSERT_TRUE(write_file(folder / "tokenizer.json", tokenizer.dump()).ok());
}

TestFolder::TestFolder(const char* name)
    : path_(fs::path(::testing::TempDir()) / (name + std::to_string(::getpid()))) {
  fs::remove_all(path_);
  fs::create_directories(path_);
}

std::vector<std::string> TestFolder::names() const { return names_in(path_); }

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace qhx::forge
