#include "text/chat_template.h"

#include <algorithm>
#include <utility>

#include "text/python_json.h"

namespace qhx::text {
namespace {

class Renderer {
 public:
  Renderer(const ChatFormat& format, const ChatOptions& options)
      : format_(format), options_(options) {}

  Result<RenderedChat> render(std::span<const ChatMessage> messages) {
    if (messages.empty())
      return invalid_argument("chat: expected at least one message, found none");
    QHX_RETURN_IF_ERROR(system(messages.front()));
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const ChatMessage& message = messages[i];
      switch (message.role) {
        case ChatRole::kSystem:
          break;  // only the first one counts, and it is written
        case ChatRole::kUser:
          user(message);
          break;
        case ChatRole::kAssistant:
          QHX_RETURN_IF_ERROR(assistant(message));
          break;
        case ChatRole::kTool: {
          const auto is_tool = [&](std::size_t j) {
            return j < messages.size() && messages[j].role == message.role;
          };
          tool(message, i == 0 || !is_tool(i - 1), !is_tool(i + 1));
          break;
        }
      }
    }
    if (options_.add_generation_prompt) out_.text += format_.assistant.before + format_.gen_prefill;
    return std::move(out_);
  }

 private:
  Status system(const ChatMessage& first) {
    const bool has_message = first.role == ChatRole::kSystem;
    if (!has_message && options_.tools.empty()) return {};
    if (format_.system.before.empty() && format_.system.after.empty()) {
      return unsupported(
          "chat: this model's format has no system turn (chat.system in the manifest)");
    }
    out_.text += format_.system.before;
    if (has_message) append_texts(first);
    if (!options_.tools.empty()) {
      if (has_message) out_.text += "\n\n";
      QHX_RETURN_IF_ERROR(tools());
    }
    out_.text += format_.system.after;
    return {};
  }

  Status tools() {
    out_.text += format_.tools.before;
    for (std::size_t i = 0; i < options_.tools.size(); ++i) {
      auto tool = parse_python_json(options_.tools[i]);
      if (!tool.ok()) return tool.status().with_context("tools[" + std::to_string(i) + "]");
      out_.text += '\n' + python_dumps(*tool);
    }
    out_.text += format_.tools.after;
    return {};
  }

  void user(const ChatMessage& message) {
    out_.text += format_.user.before;
    append_parts(message);
    out_.text += format_.user.after;
  }

  Status assistant(const ChatMessage& message) {
    out_.text += format_.assistant.before;
    append_texts(message);
    bool first = true;
    for (const ToolCall& call : message.tool_calls) {
      if (!std::exchange(first, false) || !message.parts.empty()) out_.text += '\n';
      std::string arguments = call.arguments;
      if (!call.verbatim) {
        auto parsed = parse_python_json(call.arguments);
        if (!parsed.ok())
          return parsed.status().with_context("tool call \"" + call.name + "\": arguments");
        arguments = python_dumps(*parsed);
      }
      out_.text += format_.tool_call.before + "{\"name\": \"" + call.name +
                   "\", \"arguments\": " + arguments + "}" + format_.tool_call.after;
    }
    out_.text += format_.assistant.after;
    return {};
  }

  void tool(const ChatMessage& message, bool opens_turn, bool closes_turn) {
    if (opens_turn) {
      std::string_view before = format_.user.before;
      if (before.ends_with('\n')) before.remove_suffix(1);
      out_.text += before;
    }
    out_.text += format_.tool.before;
    append_parts(message);
    out_.text += format_.tool.after;
    if (closes_turn) out_.text += format_.user.after;
  }

  void append_texts(const ChatMessage& message) {
    for (const ChatPart& part : message.parts) {
      if (part.kind == ChatPart::Kind::kText) out_.text += part.text;
    }
  }

  void append_parts(const ChatMessage& message) {
    for (const ChatPart& part : message.parts) {
      const std::size_t begin = out_.text.size();
      if (part.kind == ChatPart::Kind::kText) {
        out_.text += part.text;
        if (options_.literal_user_text && !part.text.empty())
          out_.literal.push_back({begin, out_.text.size()});
      } else {
        ++out_.pictures;
        if (options_.add_vision_id) out_.text += "Picture " + std::to_string(out_.pictures) + ": ";
        out_.text += format_.vision_start + format_.vision_pad + format_.vision_end;
      }
    }
  }

  const ChatFormat& format_;
  const ChatOptions& options_;
  RenderedChat out_;
};

// Repeats each picture's pad token in `ids` as often as the picture needs.
Result<EncodedChat> expand_pictures(std::span<const std::int32_t> ids, std::int32_t pad,
                                    std::span<const std::int32_t> tokens_per_picture) {
  EncodedChat out;
  for (const std::int32_t id : ids) {
    if (id != pad) {
      out.ids.push_back(id);
      continue;
    }
    if (out.pictures.size() == tokens_per_picture.size()) break;
    const std::int32_t copies = tokens_per_picture[out.pictures.size()];
    if (copies < 1)
      return invalid_argument("chat: a picture of " + std::to_string(copies) + " tokens");
    const std::size_t begin = out.ids.size();
    out.ids.insert(out.ids.end(), static_cast<std::size_t>(copies), pad);
    out.pictures.push_back({begin, out.ids.size()});
  }
  return out;
}

}  // namespace

Result<RenderedChat> render_chat(const ChatFormat& format, std::span<const ChatMessage> messages,
                                 const ChatOptions& options) {
  return Renderer(format, options).render(messages);
}

Result<EncodedChat> encode_chat(const Tokenizer& tokenizer, const ChatFormat& format,
                                std::span<const ChatMessage> messages,
                                std::span<const std::int32_t> tokens_per_picture,
                                const ChatOptions& options) {
  QHX_ASSIGN_OR_RETURN(const RenderedChat chat, render_chat(format, messages, options));
  if (chat.pictures != tokens_per_picture.size()) {
    return invalid_argument("chat: the messages have " + std::to_string(chat.pictures) +
                            " pictures, " + std::to_string(tokens_per_picture.size()) +
                            " were given");
  }
  const auto pad = tokenizer.added_token_id(format.vision_pad);
  if (!pad.has_value() && chat.pictures > 0) {
    return unsupported("chat: \"" + format.vision_pad +
                       "\" stands for a picture, but is no added token of the tokenizer");
  }
  std::vector<std::int32_t> ids = format.bos;
  const auto text_ids = tokenizer.encode(chat.text, chat.literal);
  ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  if (!pad.has_value()) return EncodedChat{std::move(ids), {}};
  const auto pads = static_cast<std::size_t>(std::count(ids.begin(), ids.end(), *pad));
  if (pads != chat.pictures) {
    return invalid_argument(
        "chat: a message's text contains " + format.vision_pad +
        ", which stands for pictures; take it out or encode user text literally");
  }
  return expand_pictures(ids, *pad, tokens_per_picture);
}

}  // namespace qhx::text
