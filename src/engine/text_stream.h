// Generated tokens to text for the caller: whole characters, nothing of a stop string.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/detokenizer.h"
#include "text/stop_strings.h"

namespace qhx::engine {

class TextStream {
 public:
  TextStream(const text::Tokenizer& tokenizer, std::vector<std::string> stops)
      : detokenizer_(tokenizer), stops_(std::move(stops)) {}

  // The text that is certain after this token; may be empty.
  std::string push(std::int32_t id) { return keep(stops_.push(detokenizer_.push(id))); }
  // What was held back, at the end.
  std::string flush() {
    std::string last = stops_.push(detokenizer_.flush());
    return keep(last + stops_.flush());
  }
  bool stopped() const { return stops_.matched(); }
  const std::string& text() const { return text_; }

 private:
  std::string keep(std::string piece) {
    text_ += piece;
    return piece;
  }
  text::Detokenizer detokenizer_;
  text::StopStrings stops_;
  std::string text_;
};

}  // namespace qhx::engine
