#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace qhx::text {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr std::array<char32_t, 256> kCharOfByte = [] {
  std::array<char32_t, 256> table{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    table[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return table;
}();

constexpr std::array<std::int16_t, 0x144> kByteOfChar = [] {
  std::array<std::int16_t, 0x144> table{};
  table.fill(-1);
  for (int byte = 0; byte < 256; ++byte) table[kCharOfByte[byte]] = static_cast<std::int16_t>(byte);
  return table;
}();

}  // namespace

std::optional<std::string> bytes_from_alphabet(std::string_view spelled) {
  std::string bytes;
  bytes.reserve(spelled.size());
  for (std::size_t pos = 0, length = 0; pos < spelled.size(); pos += length) {
    const char32_t c = decode_valid_utf8(spelled.data(), pos, length);
    if (c >= kByteOfChar.size() || kByteOfChar[c] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOfChar[c]));
  }
  return bytes;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) append_utf8(kCharOfByte[static_cast<unsigned char>(byte)], spelled);
  return spelled;
}

}  // namespace qhx::text
