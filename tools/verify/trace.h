// What passes between the stages of one picture and prompt, from whichever side ran it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vision/image.h"

namespace qhx::verify {

// Both sides run these very tokens and pixels.
struct Input {
  std::string prompt;  // the user's words
  std::optional<vision::Image> picture;
  std::vector<std::int32_t> prompt_ids;
  std::vector<std::int32_t> answer_ids;  // of the first judge: what every side is fed
};

// Names are those of qhx_generate --dump; "hidden_001" is that of the first decode step.
struct StageValue {
  std::string name;
  std::vector<float> values;
};

// The largest logits of a step with their ids, falling; the lower id first among equals.
using Best = std::vector<std::pair<std::int32_t, float>>;
inline constexpr std::size_t kBest = 8;
Best best_of(std::span<const float> logits);

struct Trace {
  std::vector<StageValue> stages;  // in the order run
  std::vector<Best> steps;         // one for each logits stage

  const StageValue* find(std::string_view name) const;
};

std::string numbered(std::string_view prefix, std::size_t index);  // "logits_000"
bool is_picture_stage(std::string_view name);

// Told how much work was done since the last call, and what comes next. Work is counted in products
// of two numbers by the reference, or what takes about as long.
using Advance = std::function<void(double done, std::string_view next)>;

}  // namespace qhx::verify
