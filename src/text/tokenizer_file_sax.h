// The JSON side of tokenizer_file.cpp: a tokenizer.json has some 300 000 strings in model.vocab and
// model.merges, and a tree of them would cost more time and memory than the rest of loading. These
// two go straight to lists.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/json_tree.h"

namespace qhx::text {

struct TokenizerJson {
  Json tree;  // everything but model.vocab and model.merges
  bool has_vocabulary = false;
  bool has_merges = false;
  std::vector<std::pair<std::string, std::int64_t>> vocabulary;
  // Each merge as two strings, or, in the older spelling, as "a b" in the first and nothing in the
  // second.
  std::vector<std::pair<std::string, std::string>> merges;
};

Result<TokenizerJson> read_tokenizer_json(std::string_view json);

}  // namespace qhx::text
