// Cuts text into the pieces inside which byte pairs are merged (the "pre-tokenizer").
//
// One split rule is known, by the regular expression that tokenizer.json gives for it; it is
// compiled by hand into a scanner that looks at each code point a fixed number of times, so no text
// makes it slow.
#pragma once

#include <cstddef>
#include <string_view>

#include "text/unicode.h"

namespace qhx::text {

// The rule, as tokenizer.json spells it: contractions; words with one leading sign; single digits;
// signs with one leading blank and the line ends after them; blank runs up to their last line end;
// blank runs that leave their last blank to the next word.
inline constexpr std::string_view kSplitPattern =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";

// The pieces of one text, front to back; every byte is in exactly one piece. `text` must be valid
// UTF-8 and outlive it.
class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  bool done() const { return pos_ == text_.size(); }
  // Not when done().
  std::string_view next();

 private:
  struct CodePoint {
    char32_t value = 0;
    CharClass char_class = CharClass::kSpace;
    std::size_t end = 0;  // position after it
  };
  CodePoint at(std::size_t pos) const;
  std::size_t piece_end() const;
  std::size_t contraction_end() const;
  std::size_t end_of_run(std::size_t pos, CharClass char_class) const;
  std::size_t end_of_line_ends(std::size_t pos) const;
  std::size_t end_of_blanks(std::size_t pos) const;

  const UnicodeProperties& properties_ = UnicodeProperties::instance();
  std::string_view text_;
  std::size_t pos_ = 0;
};

}  // namespace qhx::text
