// Test support: tiny checkpoints on disk, with a tokenizer that has the special tokens.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/dtype.h"

namespace qhx::forge {

struct TestCheckpoint {
  bool tied = true;
  DType dtype = DType::kBF16;
  std::size_t shards = 1;
  unsigned heads = 4, kv_heads = 2;
  std::vector<std::size_t> deepstack = {0, 2};
  std::size_t hidden = 64, ffn = 96, layers = 3, vocab = 320;
  bool new_rope_spelling = false;  // rope_parameters instead of rope_scaling + rope_theta
};

// config.json of it; special ids are far from those of the published models.
nlohmann::json make_config(const TestCheckpoint& checkpoint);

// Writes the folder; a failure fails the test.
void make_checkpoint(const TestCheckpoint& checkpoint, const std::filesystem::path& folder);

// A folder of its own for each test, removed at the end.
class TestFolder {
 public:
  explicit TestFolder(const char* name);
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  // Names in the folder, sorted.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

std::vector<std::string> names_in(const std::filesystem::path& folder);

}  // namespace qhx::forge
