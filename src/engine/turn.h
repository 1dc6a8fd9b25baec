// What one call of Session::generate() works with.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/bundle_cache.h"
#include "engine/session.h"

namespace qhx::engine {

struct Session::Turn {
  Turn(const qhexrt::GenerateConfig& c, const qhexrt::Callbacks& cb, EncodedPrompt encoded,
       const text::Tokenizer& tokenizer)
      : config(c),
        callbacks(cb),
        prompt(std::move(encoded)),
        stream(tokenizer, c.stop_strings),
        dump(c.dump_folder) {}

  bool cancel_asked() const { return callbacks.should_cancel && callbacks.should_cancel(); }
  void tell(std::string_view piece, std::int32_t token, bool final) {
    if (callbacks.on_token && !callbacks.on_token(piece, token, final) && !end)
      end = qhexrt::FinishReason::kCancelled;
  }

  const qhexrt::GenerateConfig& config;
  const qhexrt::Callbacks& callbacks;
  Stopwatch since_start;
  EncodedPrompt prompt;
  std::vector<PictureId> pictures;
  std::map<PictureId, vision::Image> unknown;  // the vision graph must run for these
  bool uses_cache = false;                     // not for a dump, which shows every stage
  std::vector<SharedPart> parts;
  std::vector<Key> keys;
  runtime::PromptPlan plan;
  std::vector<runtime::PlacedImage> images;
  std::vector<std::int32_t> stop_ids;
  std::vector<std::int32_t> history;  // prompt and answer
  TextStream stream;
  Dump dump;
  qhexrt::Output out;
  std::optional<qhexrt::FinishReason> end;
};

}  // namespace qhx::engine
