// The special tokens of a tokenizer.json, and the chat texts made of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "forge/hf/config.h"
#include "manifest/manifest.h"

namespace qhx::forge {

class AddedTokens {
 public:
  // The text of a tokenizer.json. kCorrupt if it is not one.
  static Result<AddedTokens> parse(std::string_view json);

  // kNotFound, naming `purpose` ("vision_start_token_id"), if no added token has this id.
  Result<std::string> text_of(std::int32_t id, std::string_view purpose) const;
  Result<std::int32_t> id_of(std::string_view text) const;
  std::int32_t max_id() const { return by_id_.empty() ? -1 : by_id_.rbegin()->first; }

 private:
  std::map<std::int32_t, std::string> by_id_;
};

// The texts around turns and pictures, as the family's chat template writes them. The tokens that
// mark turns must exist in the tokenizer; the picture's tokens are those of the configuration's
// ids.
Result<manifest::Chat> make_chat(const AddedTokens& tokens, const hf::ModelConfig& config);

// The checkpoint's own stop ids; without any, the end of a turn.
Result<std::vector<std::int32_t>> stop_ids(const AddedTokens& tokens,
                                           const hf::ModelConfig& config);

}  // namespace qhx::forge
