// Conversations to prompts. The texts around turns are data (ChatFormat, from a bundle's manifest);
// the rules by which they are put together are those of the ChatML templates with tools and
// pictures:
//
//   system     only as the first message; also written, if there are tools, without one
//   user       before, parts in order, after; a picture is vision_start, vision_pad, vision_end
//   assistant  before, text, tool calls one a line, after
//   tool       neighbouring tool messages share one user turn, each between tool.before and
//   tool.after
//
// There is no default system prompt, contents are not trimmed, and nothing stands between the parts
// of a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace qhx::text {

struct TextAround {
  std::string before;
  std::string after;
};

struct ChatFormat {
  TextAround system, user, assistant;
  // Around one tool's answer, inside a user turn that is opened by user.before without its last
  // line end.
  TextAround tool = {"\n<tool_response>\n", "\n</tool_response>"};
  std::string gen_prefill;  // opens every answer, after assistant.before
  std::string vision_start = "<|vision_start|>", vision_pad = "<|image_pad|>",
              vision_end = "<|vision_end|>";
  std::vector<std::int32_t> bos;  // ids in front of every prompt
  // Around the declarations of tools, one a line. (The manifest may leave these out: models agree
  // on them.)
  TextAround tools = {
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
      "provided with function "
      "signatures within <tools></tools> XML tags:\n<tools>",
      "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
      "within "
      "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
      "<args-json-object>}\n</tool_call>"};
  // Around the JSON of one call that the assistant makes.
  TextAround tool_call = {"<tool_call>\n", "\n</tool_call>"};

  // Reads a manifest's "chat" object: system, user, assistant, tool, tools, tool_call as [before,
  // after]; vision_start, vision_pad, vision_end, gen_prefill as text; bos as an id or a list of
  // ids. user and assistant are required, other missing keys keep the values above, unknown keys
  // are ignored. kInvalidArgument names the key.
  static Result<ChatFormat> from_json(std::string_view json);
};

enum class ChatRole { kSystem, kUser, kAssistant, kTool };

struct ChatPart {
  enum class Kind { kText, kPicture };
  Kind kind = Kind::kText;
  std::string text;  // of a picture: whatever names it; not part of the prompt
};

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON
  bool verbatim =
      false;  // arguments are written as they are; otherwise in the spelling of Python's json.dumps
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::vector<ChatPart> parts;       // pictures count in user and tool messages only
  std::vector<ToolCall> tool_calls;  // of an assistant
};

struct ChatOptions {
  bool add_generation_prompt = true;
  bool add_vision_id = false;  // "Picture 1: " and so on before each picture
  // Text of user and tool messages cannot become an added token ("<|im_end|>" is spelled out). Off
  // by default: the prompt is then the one that Hugging Face's template and tokenizer give.
  bool literal_user_text = false;
  std::vector<std::string> tools;  // one JSON object each
};

struct RenderedChat {
  std::string text;  // what the Hugging Face template renders; one vision_pad for each picture
  std::vector<TextRange> literal;  // where added tokens are not looked for
  std::size_t pictures = 0;
};

// kInvalidArgument for no messages or broken JSON in a tool; kUnsupported for a system message
// where the format has no text around one.
Result<RenderedChat> render_chat(const ChatFormat& format, std::span<const ChatMessage> messages,
                                 const ChatOptions& options = {});

struct EncodedChat {
  std::vector<std::int32_t> ids;
  std::vector<TextRange> pictures;  // in `ids`: the vision_pad copies of each picture, in order
};

// Renders and encodes, and writes each picture's vision_pad `tokens_per_picture[i]` times.
// kInvalidArgument if the conversation has another number of pictures, or if text of a message
// contains vision_pad and is not literal; kUnsupported if vision_pad is not one added token.
Result<EncodedChat> encode_chat(const Tokenizer& tokenizer, const ChatFormat& format,
                                std::span<const ChatMessage> messages,
                                std::span<const std::int32_t> tokens_per_picture,
                                const ChatOptions& options = {});

}  // namespace qhx::text
