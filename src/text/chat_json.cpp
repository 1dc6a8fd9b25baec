#include "text/chat_json.h"

#include <optional>

#include "text/python_json.h"

namespace qhx::text {
namespace {

const Json* find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

Status expected(const std::string& where, const char* what, const Json* found) {
  return invalid_argument(where + ": expected " + what + ", found " +
                          (found == nullptr ? "none" : found->type_name()));
}

Result<std::string> text_at(const Json& object, const char* key, const std::string& where) {
  const Json* value = find(object, key);
  if (value == nullptr || !value->is_string()) return expected(where + "." + key, "text", value);
  return value->get<std::string>();
}

std::string picture_name(const Json& part) {
  for (const char* key : {"image", "image_url"}) {
    const Json* value = find(part, key);
    if (value != nullptr && find(*value, "url") != nullptr) value = find(*value, "url");
    if (value != nullptr && value->is_string()) return value->get<std::string>();
  }
  return {};
}

Result<ChatPart> read_part(const Json& part, const std::string& where) {
  const Json* type = find(part, "type");
  const auto is_type = [&](const char* name) { return type != nullptr && *type == Json(name); };
  if (is_type("image") || find(part, "image") != nullptr || find(part, "image_url") != nullptr) {
    return ChatPart{ChatPart::Kind::kPicture, picture_name(part)};
  }
  if (is_type("video") || find(part, "video") != nullptr)
    return unsupported(where + ": videos are not supported");
  QHX_ASSIGN_OR_RETURN(std::string text, text_at(part, "text", where));
  return ChatPart{ChatPart::Kind::kText, std::move(text)};
}

Result<std::vector<ChatPart>> read_content(const Json* content, const std::string& where) {
  std::vector<ChatPart> parts;
  if (content == nullptr || content->is_null()) return parts;
  if (content->is_string()) {
    if (!content->get_ref<const std::string&>().empty()) {
      parts.push_back({ChatPart::Kind::kText, content->get<std::string>()});
    }
    return parts;
  }
  if (!content->is_array()) return expected(where, "text or an array of parts", content);
  for (std::size_t i = 0; i < content->size(); ++i) {
    QHX_ASSIGN_OR_RETURN(ChatPart part,
                         read_part((*content)[i], where + "[" + std::to_string(i) + "]"));
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<ToolCall> read_tool_call(const Json& call, const std::string& where) {
  const Json* function = find(call, "function");
  const Json& body = function != nullptr ? *function : call;
  ToolCall out;
  QHX_ASSIGN_OR_RETURN(out.name, text_at(body, "name", where));
  const Json* arguments = find(body, "arguments");
  if (arguments == nullptr) return expected(where + ".arguments", "an object or text", arguments);
  out.verbatim = arguments->is_string();
  out.arguments = out.verbatim ? arguments->get<std::string>() : python_dumps(*arguments);
  return out;
}

std::optional<ChatRole> role_of(std::string_view name) {
  if (name == "system") return ChatRole::kSystem;
  if (name == "user") return ChatRole::kUser;
  if (name == "assistant") return ChatRole::kAssistant;
  if (name == "tool") return ChatRole::kTool;
  return std::nullopt;
}

Result<ChatMessage> read_message(const Json& message, const std::string& where) {
  ChatMessage out;
  QHX_ASSIGN_OR_RETURN(const std::string role, text_at(message, "role", where));
  const auto known = role_of(role);
  if (!known.has_value()) {
    return invalid_argument(where + ".role: expected system, user, assistant or tool, found " +
                            role);
  }
  out.role = *known;
  QHX_ASSIGN_OR_RETURN(out.parts, read_content(find(message, "content"), where + ".content"));
  const Json* calls = find(message, "tool_calls");
  if (calls == nullptr || calls->is_null()) return out;
  if (!calls->is_array()) return expected(where + ".tool_calls", "an array", calls);
  for (std::size_t i = 0; i < calls->size(); ++i) {
    QHX_ASSIGN_OR_RETURN(ToolCall call, read_tool_call((*calls)[i], where + ".tool_calls[" +
                                                                        std::to_string(i) + "]"));
    out.tool_calls.push_back(std::move(call));
  }
  return out;
}

Status read_around(const Json& chat, const char* key, bool required, TextAround& out) {
  const Json* pair = find(chat, key);
  if (pair == nullptr && !required) return {};
  const bool fits = pair != nullptr && pair->is_array() && pair->size() == 2 &&
                    (*pair)[0].is_string() && (*pair)[1].is_string();
  if (!fits) return expected(std::string("chat.") + key, "[text before, text after]", pair);
  out = {(*pair)[0].get<std::string>(), (*pair)[1].get<std::string>()};
  return {};
}

Status read_bos(const Json& chat, std::vector<std::int32_t>& out) {
  const Json* bos = find(chat, "bos");
  if (bos == nullptr) return {};
  for (const Json& id : bos->is_array() ? *bos : Json::array({*bos})) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX)
      return expected("chat.bos", "token ids", bos);
    out.push_back(id.get<std::int32_t>());
  }
  return {};
}

}  // namespace

Result<std::vector<ChatMessage>> chat_messages_from_json(std::string_view text) {
  QHX_ASSIGN_OR_RETURN(const Json list, parse_python_json(text));
  if (!list.is_array()) return expected("messages", "an array", &list);
  std::vector<ChatMessage> messages;
  for (std::size_t i = 0; i < list.size(); ++i) {
    QHX_ASSIGN_OR_RETURN(ChatMessage message,
                         read_message(list[i], "messages[" + std::to_string(i) + "]"));
    messages.push_back(std::move(message));
  }
  return messages;
}

Result<ChatFormat> ChatFormat::from_json(std::string_view text) {
  auto chat = parse_python_json(text);
  if (!chat.ok()) return chat.status().with_context("chat");
  if (!chat->is_object()) return expected("chat", "an object", &*chat);
  ChatFormat out;
  QHX_RETURN_IF_ERROR(read_around(*chat, "system", false, out.system));
  QHX_RETURN_IF_ERROR(read_around(*chat, "user", true, out.user));
  QHX_RETURN_IF_ERROR(read_around(*chat, "assistant", true, out.assistant));
  QHX_RETURN_IF_ERROR(read_around(*chat, "tool", false, out.tool));
  QHX_RETURN_IF_ERROR(read_around(*chat, "tools", false, out.tools));
  QHX_RETURN_IF_ERROR(read_around(*chat, "tool_call", false, out.tool_call));
  for (const auto& [key, value] :
       {std::pair("gen_prefill", &out.gen_prefill), std::pair("vision_start", &out.vision_start),
        std::pair("vision_pad", &out.vision_pad), std::pair("vision_end", &out.vision_end)}) {
    if (find(*chat, key) == nullptr) continue;
    QHX_ASSIGN_OR_RETURN(*value, text_at(*chat, key, "chat"));
  }
  QHX_RETURN_IF_ERROR(read_bos(*chat, out.bos));
  return out;
}

}  // namespace qhx::text
