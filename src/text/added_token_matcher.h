// Finds added tokens in text: leftmost first, of those that start together the longest, without
// overlap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qhx::text {

// A trie over bytes. Immutable once filled. Time is linear in the text times the longest token.
class AddedTokenMatcher {
 public:
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t token = 0;  // as given to add()
  };

  bool empty() const { return accepts_.size() == 1; }

  // `content` must not be empty. Of equal contents the last one added counts.
  void add(std::string_view content, std::size_t token);

  // The first match that begins at or after `from`.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  static std::uint64_t edge(std::uint32_t node, char byte) {
    return static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
  }
  std::optional<Match> match_at(std::string_view text, std::size_t begin) const;

  std::array<bool, 256> can_start_{};
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::size_t> accepts_ = {kNone};  // by node; node 0 is the root
};

}  // namespace qhx::text
