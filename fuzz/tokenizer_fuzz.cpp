// Any bytes as text for a fixed small tokenizer: encoding loses nothing but what normalisation changes, with and without
// added tokens, and streaming gives the text of the whole.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/chat_json.h"
#include "text/detokenizer.h"
#include "text/nfc.h"
#include "text/test_tokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using qhx::text::Tokenizer;

std::string normalised(std::string_view bytes) {
  std::string valid, storage;
  qhx::text::append_replacing_invalid(bytes, false, valid);
  return std::string(qhx::text::nfc(valid, storage));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer tokenizer =
      Tokenizer::from_json(qhx::text::small_tokenizer_json().dump(), "small").value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  QHX_CHECK(tokenizer.decode(tokenizer.encode(text, false), false) == normalised(text));

  const auto ids = tokenizer.encode(text);
  const std::string decoded = tokenizer.decode(ids, false);
  // Normalisation stops at added tokens, so the two differ until both are normalised.
  QHX_CHECK(normalised(decoded) == normalised(text));
  qhx::text::Detokenizer stream(tokenizer, false);
  std::string joined;
  for (const std::int32_t id : ids) joined += stream.push(id);
  QHX_CHECK(joined + stream.flush() == decoded);

  const auto messages = qhx::text::chat_messages_from_json(text);
  if (messages.ok()) (void)qhx::text::render_chat({}, *messages);
  return 0;
}
