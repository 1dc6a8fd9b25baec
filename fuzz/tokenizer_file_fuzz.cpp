// Any bytes as tokenizer.json: an error or a tokenizer that works.
#include <cstdint>
#include <string_view>

#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = qhx::text::Tokenizer::from_json(json, "fuzz");
  if (tokenizer.ok()) (void)tokenizer->decode(tokenizer->encode("Hello 'll <|end|> e\xCC\x81 \xFF"), true);
  return 0;
}
