// Conversations as JSON: the lists of messages that Hugging Face's templates and OpenAI's chat
// requests use.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/chat_template.h"

namespace qhx::text {

// An array of {"role", "content", "tool_calls"}. Content is text, null, or an array of parts: with
// type "image" or a key image or image_url a picture (ChatPart::text is the value if that is text,
// or its "url"), otherwise with a key text a text. A tool call is {"name", "arguments"}, or that
// inside "function"; arguments given as text are verbatim. kInvalidArgument names the place;
// kUnsupported for videos.
Result<std::vector<ChatMessage>> chat_messages_from_json(std::string_view json);

}  // namespace qhx::text
