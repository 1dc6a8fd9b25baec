// Text to token ids and back: byte-level BPE as a Hugging Face tokenizer.json describes it.
//
// Encoding: added tokens are cut out of the raw text; the rest is normalised to NFC, split into
// pieces (text/splitter.h), and in each piece byte pairs are merged by rank. The ids equal those of
// the `tokenizers` package for every text; tests/tokenizer/parity.py compares. Nothing is added at
// the front or the end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace qhx::text {

// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Cheap to copy (copies share the tables), immutable, and safe to use from any thread.
class Tokenizer {
 public:
  // `name` stands in front of error messages. kCorrupt for what is no tokenizer.json, kUnsupported
  // for one of another family (the message says which key differs).
  static Result<Tokenizer> from_json(std::string_view json, std::string_view name);
  static Result<Tokenizer> from_file(const std::filesystem::path& path);

  // The ids of any bytes shorter than 4 GiB. What is not UTF-8 is read as U+FFFD, one for each
  // maximal subpart, as Python's errors="replace" does. With parse_added_tokens false, text such as
  // "<|im_end|>" is spelled out in ordinary tokens instead of becoming the added token. Time is O(n
  // log n) for every text.
  std::vector<std::int32_t> encode(std::string_view text, bool parse_added_tokens = true) const;

  // The same, but no added token is looked for where it would touch one of `literal`, which are in
  // rising order and do not overlap. Tokens still join across their borders, so that without added
  // tokens in them the ids are those of encode(text). (An added token whose file entry says
  // normalized is not looked for in any text between two other added tokens that touches a literal
  // range.)
  std::vector<std::int32_t> encode(std::string_view text, std::span<const TextRange> literal) const;

  // The text of `ids` as UTF-8; bytes that are none become U+FFFD as in encode(). Unknown ids give
  // nothing. With skip_special, added tokens marked special give nothing.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const;

  // The bytes of one token, perhaps a part of a character; empty for an unknown id. Valid as long
  // as any copy of this tokenizer.
  std::string_view token_bytes(std::int32_t id) const;

  // By the text of an added token, or by the spelling in the file's vocabulary (byte alphabet).
  std::optional<std::int32_t> token_id(std::string_view token) const;
  // The id of an added token of exactly this text.
  std::optional<std::int32_t> added_token_id(std::string_view content) const;

  bool is_special(std::int32_t id) const;
  // One more than the largest id. A model's embedding may have more rows.
  std::int32_t vocab_size() const;

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace qhx::text
