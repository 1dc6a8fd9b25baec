// UTF-8 reading that never fails: what is not UTF-8 becomes U+FFFD, one for each maximal subpart of
// a sequence that breaks off (Unicode 16, section 3.9, table 3-8), as Python's errors="replace" and
// browsers do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qhx::text {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct Utf8Step {
  char32_t code_point;  // kReplacementCharacter if !valid
  std::uint8_t length;  // bytes to advance, 1..4
  bool valid;
  bool truncated;  // !valid, but more bytes could have completed it
};

// Reads one code point at the start of `text`, which must not be empty.
Utf8Step decode_utf8(std::string_view text);

// The code point at `text[pos]`, where the text is known to be valid and pos to be a boundary. Sets
// `length`.
inline char32_t decode_valid_utf8(const char* text, std::size_t pos, std::size_t& length) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[pos + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return length = 1, lead;
  if (lead < 0xE0) return length = 2, (lead & 0x1F) << 6 | (byte(1) & 0x3F);
  if (lead < 0xF0)
    return length = 3, (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  length = 4;
  return (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
}

// `code_point` must be a scalar value.
void append_utf8(char32_t code_point, std::string& out);

// Bytes at the start of `text` that are ASCII.
std::size_t ascii_prefix(std::string_view text);

// The length of the longest valid prefix: text.size() if all of it is UTF-8.
std::size_t valid_utf8_prefix(std::string_view text);

// Appends `text` with its invalid parts replaced. With `hold_back`, a sequence that is cut off by
// the end of `text` is not replaced but left out. Returns how many bytes of `text` were consumed.
std::size_t append_replacing_invalid(std::string_view text, bool hold_back, std::string& out);

}  // namespace qhx::text
