// The spelling of bytes in a byte-level vocabulary: each byte is one printable character.
// Bytes 33..126, 161..172 and 174..255 stand for themselves; the other 68, in rising order, are
// U+0100, U+0101 and so on. (The alphabet of GPT-2; tokenizer.json writes vocabulary and merges in
// it.)
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qhx::text {

// The bytes that `spelled` (valid UTF-8) stands for; nothing if a character is outside the
// alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view spelled);

std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace qhx::text
