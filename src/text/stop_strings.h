// Stops a stream of text at the first of several strings, without ever showing a part of one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace qhx::text {

// The match is the stop string that is complete first; of several that end at the same byte, the
// longest. How the text is cut into pieces makes no difference. Each byte costs a constant time for
// each stop string. One stream, one thread at a time.
class StopStrings {
 public:
  // Empty strings are ignored; without others, nothing is ever held back.
  explicit StopStrings(std::vector<std::string> stops);

  // Takes the next piece and returns the text that is now certain to lie before any stop string. If
  // the pieces are UTF-8 and so are the stop strings, so is what is returned. Gives nothing once
  // matched().
  std::string push(std::string_view piece);

  // At the end of the stream: what was held back, which turned out to be no stop string. Empty if
  // matched().
  std::string flush();

  bool matched() const { return !match_.empty(); }
  // The stop string that was found; empty before that.
  const std::string& match() const { return match_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<std::size_t>
        border;  // by length of a prefix: its longest proper prefix that is also its suffix
    std::size_t matched = 0;  // bytes of `text` that the stream ends with
  };
  // True if the byte completes a stop string, which is then match_.
  bool advance(char byte);

  std::vector<Pattern> patterns_;
  std::string held_;  // ends with the longest beginning of a stop string
  std::string match_;
};

}  // namespace qhx::text
