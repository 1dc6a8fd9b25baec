// tokenizer.json as data: read, and refused if it is not of the family that Tokenizer implements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace qhx::text {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;      // UTF-8, not in the byte alphabet
  bool special = false;     // decoding may skip it
  bool normalized = false;  // looked for after normalisation instead of before
  bool lstrip = false;      // takes the blanks before it
  bool rstrip = false;      // takes the blanks after it
};

struct TokenizerFile {
  bool nfc = false;  // normalise to NFC; otherwise not at all
  bool ignore_merges =
      false;  // a piece that is in the vocabulary is that token, whatever the merges say
  std::vector<std::pair<std::string, std::int32_t>>
      vocabulary;  // in the byte alphabet; ids below kMaxTokenId
  std::vector<std::pair<std::string, std::string>> merges;  // by rising rank, in the byte alphabet
  std::vector<AddedToken> added_tokens;                     // in file order
};

// Larger than any vocabulary; keeps a hostile file from sizing tables by a huge id.
inline constexpr std::int32_t kMaxTokenId = (1 << 22) - 1;

// Reads a whole tokenizer.json. Truncation and padding in it are ignored: they are settings of
// training scripts that programs which generate text switch off. kCorrupt for what is no such file,
// kUnsupported for another kind of tokenizer; the message names the key, the expected and the found
// value.
Result<TokenizerFile> parse_tokenizer_file(std::string_view json);

}  // namespace qhx::text
