#include "text/splitter.h"

#include <array>

#include "base/check.h"
#include "text/utf8.h"

namespace qhx::text {
namespace {

constexpr std::array<CharClass, 128> kAsciiClass = [] {
  std::array<CharClass, 128> table{};
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = CharClass::kLetter;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = CharClass::kLetter;
  for (int c = '0'; c <= '9'; ++c) table[c] = CharClass::kNumber;
  for (int c = '\t'; c <= '\r'; ++c) table[c] = CharClass::kSpace;
  table[' '] = CharClass::kSpace;
  return table;
}();

bool is_line_end(char32_t c) { return c == '\r' || c == '\n'; }

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

Splitter::CodePoint Splitter::at(std::size_t pos) const {
  const auto first = static_cast<unsigned char>(text_[pos]);
  if (first < 0x80) return {first, kAsciiClass[first], pos + 1};
  std::size_t length;
  const char32_t c = decode_valid_utf8(text_.data(), pos, length);
  return {c, properties_.char_class(c), pos + length};
}

std::string_view Splitter::next() {
  QHX_DCHECK(!done());
  const std::size_t begin = pos_;
  pos_ = piece_end();
  return text_.substr(begin, pos_ - begin);
}

std::size_t Splitter::piece_end() const {
  if (const std::size_t end = contraction_end(); end != pos_) return end;
  const CodePoint first = at(pos_);
  if (first.char_class == CharClass::kLetter) return end_of_run(first.end, CharClass::kLetter);
  if (first.char_class == CharClass::kNumber) return first.end;
  const bool more = first.end < text_.size();
  const CodePoint second = more ? at(first.end) : CodePoint{};
  if (more && second.char_class == CharClass::kLetter && !is_line_end(first.value)) {
    return end_of_run(second.end, CharClass::kLetter);
  }
  const bool blank_before_signs =
      first.value == ' ' && more && second.char_class == CharClass::kOther;
  if (first.char_class == CharClass::kOther || blank_before_signs) {
    return end_of_line_ends(end_of_run(first.end, CharClass::kOther));
  }
  return end_of_blanks(pos_);
}

// The ending if there is one after an apostrophe at pos_, else pos_. Case is ignored as Unicode
// does, so that the long s (U+017F) is an s; no other code point folds to one of these letters.
std::size_t Splitter::contraction_end() const {
  const std::string_view rest = text_.substr(pos_, 3);
  if (rest.size() < 2 || rest[0] != '\'') return pos_;
  const char a = to_lower(rest[1]);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return pos_ + 2;
  if (rest.size() < 3) return pos_;
  if (rest.substr(1) == "\u017F") return pos_ + 3;
  const char b = to_lower(rest[2]);
  const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return two ? pos_ + 3 : pos_;
}

std::size_t Splitter::end_of_run(std::size_t pos, CharClass char_class) const {
  while (pos < text_.size()) {
    const CodePoint c = at(pos);
    if (c.char_class != char_class) break;
    pos = c.end;
  }
  return pos;
}

std::size_t Splitter::end_of_line_ends(std::size_t pos) const {
  while (pos < text_.size() && is_line_end(static_cast<unsigned char>(text_[pos]))) ++pos;
  return pos;
}

// A run of blanks goes up to its last line end; without one, up to its last blank if a word
// follows; else whole.
std::size_t Splitter::end_of_blanks(std::size_t pos) const {
  std::size_t after_line_end = 0, last_blank = pos;
  const std::size_t begin = pos;
  while (pos < text_.size()) {
    const CodePoint c = at(pos);
    if (c.char_class != CharClass::kSpace) break;
    last_blank = pos;
    pos = c.end;
    if (is_line_end(c.value)) after_line_end = pos;
  }
  if (after_line_end != 0) return after_line_end;
  return pos == text_.size() || last_blank == begin ? pos : last_blank;
}

}  // namespace qhx::text
