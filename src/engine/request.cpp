#include "engine/request.h"

#include <algorithm>
#include <string>

#include "vision/positions.h"

namespace qhx::engine {
namespace {

text::ChatRole role_of(qhexrt::Role role) {
  switch (role) {
    case qhexrt::Role::kSystem:
      return text::ChatRole::kSystem;
    case qhexrt::Role::kUser:
      return text::ChatRole::kUser;
    case qhexrt::Role::kAssistant:
      return text::ChatRole::kAssistant;
    case qhexrt::Role::kTool:
      return text::ChatRole::kTool;
  }
  return text::ChatRole::kUser;
}

std::size_t tokens_per_picture(const Engine& engine) {
  return engine.vision() == nullptr ? 0 : engine.vision()->spec().tokens;
}

Status allow_pictures(const Engine& engine, const EncodedPrompt& prompt) {
  if (prompt.sources.empty() || engine.vision() != nullptr) return {};
  return unsupported("this manifest takes text only, no pictures");
}

Status encode_chat(const Engine& engine, const qhexrt::Prompt& prompt,
                   const qhexrt::GenerateConfig& config, EncodedPrompt& out) {
  if (engine.chat() == nullptr)
    return unsupported("chat: the manifest has no chat format; give the prompt raw");
  std::vector<text::ChatMessage> messages;
  for (const qhexrt::Message& message : prompt.messages) {
    text::ChatMessage& to = messages.emplace_back();
    to.role = role_of(message.role);
    for (const qhexrt::Part& part : message.parts) {
      if (part.picture.has_value()) {
        to.parts.push_back({text::ChatPart::Kind::kPicture, ""});
        out.sources.push_back(&*part.picture);
      } else {
        to.parts.push_back({text::ChatPart::Kind::kText, part.text});
      }
    }
  }
  QHX_RETURN_IF_ERROR(allow_pictures(engine, out));
  const std::vector<std::int32_t> counts(out.sources.size(),
                                         static_cast<std::int32_t>(tokens_per_picture(engine)));
  text::ChatOptions options;
  options.literal_user_text = config.literal_user_text;
  QHX_ASSIGN_OR_RETURN(text::EncodedChat chat, text::encode_chat(engine.tokenizer(), *engine.chat(),
                                                                 messages, counts, options));
  out.ids = std::move(chat.ids);
  out.pictures = std::move(chat.pictures);
  if (engine.cache() == nullptr || messages[0].role != text::ChatRole::kSystem) return {};
  // The system message alone has the tokens with which the whole begins.
  options.add_generation_prompt = false;
  QHX_ASSIGN_OR_RETURN(chat, text::encode_chat(engine.tokenizer(), *engine.chat(),
                                               std::span(messages).first(1), {}, options));
  const auto differ =
      std::mismatch(out.ids.begin(), out.ids.end(), chat.ids.begin(), chat.ids.end());
  out.shared_ends.push_back(static_cast<std::size_t>(differ.first - out.ids.begin()));
  return {};
}

// Each image token of the text becomes as many as a picture has.
Status encode_raw(const Engine& engine, const qhexrt::Prompt& prompt, EncodedPrompt& out) {
  for (const qhexrt::Picture& picture : prompt.raw_pictures) out.sources.push_back(&picture);
  QHX_RETURN_IF_ERROR(allow_pictures(engine, out));
  for (const std::int32_t id : engine.tokenizer().encode(*prompt.raw)) {
    if (id != engine.image_token() || engine.vision() == nullptr) {
      out.ids.push_back(id);
      continue;
    }
    const std::size_t begin = out.ids.size();
    out.ids.insert(out.ids.end(), tokens_per_picture(engine), id);
    out.pictures.push_back({begin, out.ids.size()});
  }
  if (out.pictures.size() != out.sources.size()) {
    return invalid_argument("the raw prompt has " + std::to_string(out.pictures.size()) +
                            " picture tokens for " + std::to_string(out.sources.size()) +
                            " pictures");
  }
  return {};
}

Status check_length(const Engine& engine, const qhexrt::GenerateConfig& config,
                    const EncodedPrompt& prompt) {
  const std::size_t count = prompt.ids.size(), context = engine.text_spec().context;
  if (count == 0) return invalid_argument("the prompt has no tokens: nothing to continue");
  if (count + (config.max_new_tokens > 0 ? 1 : 0) <= context) return {};
  return out_of_range(
      "the prompt has " + std::to_string(count) + " tokens" +
      (prompt.pictures.empty()
           ? ""
           : ", " + std::to_string(tokens_per_picture(engine)) + " of them for each picture") +
      "; the context holds " + std::to_string(context) + ", prompt and answer together");
}

Status check_ids(const Engine& engine, const EncodedPrompt& prompt) {
  for (const std::int32_t id : prompt.ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= engine.text_spec().vocab) {
      return out_of_range("token id " + std::to_string(id) + " is outside the vocabulary of " +
                          std::to_string(engine.text_spec().vocab));
    }
  }
  return {};
}

Status place(const Engine& engine, EncodedPrompt& prompt) {
  std::vector<vision::Grid> grids;
  int merge = 1;
  if (!prompt.sources.empty()) {
    grids.assign(prompt.sources.size(), engine.vision()->spec().grid);
    merge = engine.vision()->spec().params.merge;
  }
  // A bundle without vision has no use for the id: a text may hold such a token like any other.
  const std::int32_t image_token = engine.vision() == nullptr ? -1 : engine.image_token();
  QHX_ASSIGN_OR_RETURN(vision::MropePositions positions,
                       vision::mrope_positions(prompt.ids, image_token, grids, merge));
  prompt.positions = std::move(positions.ids);
  prompt.position_delta = positions.delta;
  return {};
}

// With the token that closes it.
void add_picture_ends(const Engine& engine, EncodedPrompt& prompt) {
  if (engine.cache() == nullptr) return;
  for (const text::TextRange& picture : prompt.pictures) {
    const bool closed =
        picture.end < prompt.ids.size() && engine.tokenizer().is_special(prompt.ids[picture.end]);
    prompt.shared_ends.push_back(picture.end + (closed ? 1 : 0));
  }
}

}  // namespace

Result<EncodedPrompt> encode_prompt(const Engine& engine, const qhexrt::Prompt& prompt,
                                    const qhexrt::GenerateConfig& config) {
  EncodedPrompt out;
  QHX_RETURN_IF_ERROR(prompt.raw.has_value() ? encode_raw(engine, prompt, out)
                                             : encode_chat(engine, prompt, config, out));
  QHX_RETURN_IF_ERROR(check_length(engine, config, out));
  QHX_RETURN_IF_ERROR(check_ids(engine, out));
  QHX_RETURN_IF_ERROR(place(engine, out));
  add_picture_ends(engine, out);
  return out;
}

}  // namespace qhx::engine
