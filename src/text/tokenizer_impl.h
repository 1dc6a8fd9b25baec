// The inside of Tokenizer: tables and the encoding of text between added tokens.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_token_matcher.h"
#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/tokenizer_file.h"
#include "text/vocabulary.h"

namespace qhx::text {

struct Tokenizer::Impl {
  static Result<std::shared_ptr<const Impl>> create(TokenizerFile file);

  // `text` is valid UTF-8 here and below.
  std::vector<std::int32_t> encode(std::string_view text, std::span<const TextRange> literal) const;

  Status add_vocabulary(const TokenizerFile& file);
  std::int32_t expected_id(const AddedToken& token) const;
  Status add_added_token(const AddedToken& token);

  void encode_between(std::string_view raw, bool look_for_normalized,
                      std::vector<std::int32_t>& ids) const;
  void encode_normalized(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_piece(std::string_view piece, std::vector<std::int32_t>& ids) const;

  // What merging a vocabulary token's bytes gives; learned when the token is first met, so it is a
  // cache of every piece that is one token. Threads may learn the same twice and write the same
  // value.
  enum class Whole : std::uint8_t { kUnknown, kYes, kNo };

  bool nfc = false;
  bool ignore_merges = false;
  Vocabulary vocabulary;  // of the model and added tokens
  Bpe bpe;
  std::unique_ptr<std::atomic<Whole>[]> whole;  // by id
  std::int32_t model_size = 0;                  // tokens of the model alone
  std::int32_t largest_added_id = -1;
  std::vector<AddedToken> added;
  std::unordered_map<std::string, std::int32_t> added_ids;  // by content
  std::vector<bool> special;                                // by id
  AddedTokenMatcher raw_matcher;                            // tokens to find in raw text
  AddedTokenMatcher normalized_matcher;                     // tokens to find after normalisation
};

}  // namespace qhx::text
