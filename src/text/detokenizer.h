// Token ids to text as they are generated, never cutting a character in two.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace qhx::text {

// The pieces of push() and the last one of flush(), joined, are Tokenizer::decode() of all ids.
// Every piece is valid UTF-8. One stream, one thread at a time.
class Detokenizer {
 public:
  // With skip_special, added tokens marked special give no text.
  explicit Detokenizer(Tokenizer tokenizer, bool skip_special = true)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

  // The text that `id` completes; empty while a character is unfinished. Bytes that can no longer
  // become a character are U+FFFD.
  std::string push(std::int32_t id);

  // What was held back, as U+FFFD. Afterwards the stream starts anew.
  std::string flush();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string held_;  // the unfinished character, at most three bytes
};

}  // namespace qhx::text
