// A question about a picture, or of words alone, through a session: what a user waits for.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "bench/bench.h"
#include "engine/session.h"

namespace qhx::bench {

struct Question {
  qhexrt::Prompt first, second;  // about the same picture
  bool picture = false;
};

// About the picture in `image`, or a drawn one if that is empty; of words alone if the bundle takes
// no pictures (kUnsupported if one was given).
Result<Question> make_question(const std::filesystem::path& image, const engine::Engine& engine);

// Greedy, `tokens` of an answer whatever it says.
Result<qhexrt::Output> ask(engine::Session& session, const Question& question, std::size_t tokens);

// In prompt tokens, as long as a turn takes.
double turn_work(const engine::Engine& engine);

// One turn to warm up, then `repetitions` of them, each followed by the second question. Empty if
// the context is too small for the question.
Result<std::optional<Turn>> measure_turn(
    const Question& question, std::size_t repetitions, std::shared_ptr<const engine::Engine> engine,
    const std::function<void(double work, std::string_view next)>& advance);

}  // namespace qhx::bench
