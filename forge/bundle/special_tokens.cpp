#include "forge/bundle/special_tokens.h"

#include <nlohmann/json.hpp>

namespace qhx::forge {
namespace {

constexpr std::string_view kTurnStart = "<|im_start|>";
constexpr std::string_view kTurnEnd = "<|im_end|>";

}  // namespace

Result<AddedTokens> AddedTokens::parse(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return corrupt("tokenizer.json: is not JSON");
  const auto list = json.find("added_tokens");
  if (list == json.end() || !list->is_array())
    return corrupt("tokenizer.json: added_tokens: expected a list");
  AddedTokens out;
  for (const auto& token : *list) {
    const auto* id = token.is_object() && token.contains("id")
                         ? token["id"].get_ptr<const nlohmann::json::number_integer_t*>()
                         : nullptr;
    const auto* content = token.is_object() && token.contains("content")
                              ? token["content"].get_ptr<const std::string*>()
                              : nullptr;
    if (id == nullptr || content == nullptr || *id < 0 || *id > INT32_MAX)
      return corrupt("tokenizer.json: added_tokens: an entry without a proper id and content");
    out.by_id_[static_cast<std::int32_t>(*id)] = *content;
  }
  return out;
}

Result<std::string> AddedTokens::text_of(std::int32_t id, std::string_view purpose) const {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) return found->second;
  return not_found("tokenizer.json: no added token has the id " + std::to_string(id) +
                   " that config.json gives as " + std::string(purpose) +
                   "; tokenizer and checkpoint do not belong together");
}

Result<std::int32_t> AddedTokens::id_of(std::string_view text) const {
  for (const auto& [id, content] : by_id_) {
    if (content == text) return id;
  }
  return not_found("tokenizer.json: no added token " + std::string(text) +
                   "; the chat format of this model family needs it");
}

Result<manifest::Chat> make_chat(const AddedTokens& tokens, const hf::ModelConfig& config) {
  for (const std::string_view marker : {kTurnStart, kTurnEnd})
    QHX_RETURN_IF_ERROR(tokens.id_of(marker).status());
  const auto turn = [](std::string_view role) {
    return std::pair(std::string(kTurnStart) + std::string(role) + "\n",
                     std::string(kTurnEnd) + "\n");
  };
  manifest::Chat chat;
  chat.system = turn("system");
  chat.user = turn("user");
  chat.assistant = turn("assistant");
  // Around one answer: the user turn that holds the answers is the renderer's to open and close.
  chat.tool = {"\n<tool_response>\n", "\n</tool_response>"};
  QHX_ASSIGN_OR_RETURN(chat.vision_start,
                       tokens.text_of(config.vision_start_token_id, "vision_start_token_id"));
  QHX_ASSIGN_OR_RETURN(chat.vision_pad, tokens.text_of(config.image_token_id, "image_token_id"));
  QHX_ASSIGN_OR_RETURN(chat.vision_end,
                       tokens.text_of(config.vision_end_token_id, "vision_end_token_id"));
  chat.present = true;
  return chat;
}

Result<std::vector<std::int32_t>> stop_ids(const AddedTokens& tokens,
                                           const hf::ModelConfig& config) {
  if (!config.generation.eos_token_ids.empty()) return config.generation.eos_token_ids;
  QHX_ASSIGN_OR_RETURN(const std::int32_t end, tokens.id_of(kTurnEnd));
  return std::vector<std::int32_t>{end};
}

}  // namespace qhx::forge
