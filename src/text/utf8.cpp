#include "text/utf8.h"

#include <cstring>

namespace qhx::text {
namespace {

constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// How many bytes a lead byte announces, and the range of the byte after it; the rest are 80..BF.
struct Lead {
  std::uint8_t length = 0;  // 0: no lead byte
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
};

constexpr Lead classify_lead(unsigned char byte) {
  if (byte < 0xC2 || byte > 0xF4) return {};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {4};
}

}  // namespace

Utf8Step decode_utf8(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true, false};
  const Lead lead = classify_lead(first);
  if (lead.length == 0) return {kReplacementCharacter, 1, false, false};
  char32_t code_point = first & (0x7Fu >> lead.length);
  for (std::uint8_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {kReplacementCharacter, i, false, true};
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!fits) return {kReplacementCharacter, i, false, false};
    code_point = code_point << 6 | (byte & 0x3F);
  }
  return {code_point, lead.length, true, false};
}

void append_utf8(char32_t c, std::string& out) {
  const auto tail = [&](int shift) {
    out.push_back(static_cast<char>(0x80 | (c >> shift & 0x3F)));
  };
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    tail(6), tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    tail(12), tail(6), tail(0);
  }
}

std::size_t ascii_prefix(std::string_view text) {
  std::size_t pos = 0;
  for (std::uint64_t word; pos + sizeof word <= text.size(); pos += sizeof word) {
    std::memcpy(&word, text.data() + pos, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) ++pos;
  return pos;
}

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t pos = 0;
  while (true) {
    pos += ascii_prefix(text.substr(pos));
    if (pos == text.size()) return pos;
    const Utf8Step step = decode_utf8(text.substr(pos));
    if (!step.valid) return pos;
    pos += step.length;
  }
}

std::size_t append_replacing_invalid(std::string_view text, bool hold_back, std::string& out) {
  std::size_t pos = 0;
  while (true) {
    const std::size_t valid = valid_utf8_prefix(text.substr(pos));
    out.append(text.substr(pos, valid));
    pos += valid;
    if (pos == text.size()) return pos;
    const Utf8Step step = decode_utf8(text.substr(pos));
    if (step.truncated && hold_back) return pos;
    out.append(kReplacementUtf8);
    pos += step.length;
  }
}

}  // namespace qhx::text
