#include "text/detokenizer.h"

#include <utility>

#include "text/utf8.h"

namespace qhx::text {

std::string Detokenizer::push(std::int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  held_.append(tokenizer_.token_bytes(id));
  std::string text;
  held_.erase(0, append_replacing_invalid(held_, true, text));
  return text;
}

std::string Detokenizer::flush() {
  std::string text;
  append_replacing_invalid(std::exchange(held_, {}), false, text);
  return text;
}

}  // namespace qhx::text
