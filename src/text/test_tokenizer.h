// A small tokenizer.json for tests: the 256 bytes, a few merges, two added tokens.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/splitter.h"

namespace qhx::text {

// Ids: bytes 0..255, then one for each merge (an+d gives "and"), then "<|end|>" (special) and
// "<think>" (not special).
inline nlohmann::json small_tokenizer_json() {
  using nlohmann::json;
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"a", "n"},  {"an", "d"}, {" ", "and"}, {"l", "l"},
      {"'", "ll"}, {"a", "a"},  {"aa", "aa"}, {"\xC3", "\xA9"}};
  json vocab = json::object(), spelled = json::array();
  for (int byte = 0; byte < 256; ++byte)
    vocab[bytes_to_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  for (const auto& [left, right] : merges) {
    vocab[bytes_to_alphabet(left + right)] = vocab.size();
    spelled.push_back({bytes_to_alphabet(left), bytes_to_alphabet(right)});
  }
  const int next = static_cast<int>(vocab.size());
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kSplitPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"version", "1.0"},
          {"added_tokens",
           {{{"id", next}, {"content", "<|end|>"}, {"special", true}, {"normalized", false}},
            {{"id", next + 1}, {"content", "<think>"}, {"special", false}, {"normalized", false}}}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"}, {"ignore_merges", false}, {"vocab", vocab}, {"merges", spelled}}}};
}

}  // namespace qhx::text
