#include "text/added_token_matcher.h"

namespace qhx::text {

void AddedTokenMatcher::add(std::string_view content, std::size_t token) {
  can_start_[static_cast<unsigned char>(content[0])] = true;
  std::uint32_t node = 0;
  for (const char byte : content) {
    const auto [next, added] =
        edges_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(accepts_.size()));
    if (added) accepts_.push_back(kNone);
    node = next->second;
  }
  accepts_[node] = token;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::match_at(std::string_view text,
                                                                    std::size_t begin) const {
  std::optional<Match> longest;
  std::uint32_t node = 0;
  for (std::size_t pos = begin; pos < text.size(); ++pos) {
    const auto next = edges_.find(edge(node, text[pos]));
    if (next == edges_.end()) break;
    node = next->second;
    if (accepts_[node] != kNone) longest = Match{begin, pos + 1, accepts_[node]};
  }
  return longest;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                std::size_t from) const {
  if (empty()) return std::nullopt;
  for (std::size_t pos = from; pos < text.size(); ++pos) {
    if (!can_start_[static_cast<unsigned char>(text[pos])]) continue;
    if (auto match = match_at(text, pos)) return match;
  }
  return std::nullopt;
}

}  // namespace qhx::text
