// Knuth-Morris-Pratt for each stop string, all side by side.
#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace qhx::text {
namespace {

std::size_t extend(const std::string& text, const std::vector<std::size_t>& border,
                   std::size_t matched, char byte) {
  while (matched > 0 && (matched == text.size() || text[matched] != byte))
    matched = border[matched];
  return text[matched] == byte ? matched + 1 : 0;
}

std::vector<std::size_t> borders(const std::string& text) {
  std::vector<std::size_t> border(text.size() + 1, 0);
  for (std::size_t length = 2; length <= text.size(); ++length) {
    border[length] = extend(text, border, border[length - 1], text[length - 1]);
  }
  return border;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& stop : stops) {
    if (stop.empty()) continue;
    std::vector<std::size_t> border = borders(stop);
    patterns_.push_back({std::move(stop), std::move(border)});
  }
}

bool StopStrings::advance(char byte) {
  for (Pattern& pattern : patterns_) {
    pattern.matched = extend(pattern.text, pattern.border, pattern.matched, byte);
    if (pattern.matched == pattern.text.size() && pattern.text.size() > match_.size())
      match_ = pattern.text;
  }
  return matched();
}

std::string StopStrings::push(std::string_view piece) {
  if (matched()) return {};
  for (const char byte : piece) {
    held_.push_back(byte);
    if (advance(byte)) {
      held_.resize(held_.size() - match_.size());
      return std::exchange(held_, {});
    }
  }
  std::size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.matched);
  std::string safe = held_.substr(0, held_.size() - keep);
  held_.erase(0, safe.size());
  return safe;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

}  // namespace qhx::text
