// How a session makes an answer, token by token or, where guesses are checked, several at once.
#include <algorithm>
#include <optional>

#include "engine/turn.h"

namespace qhx::engine {

using qhexrt::FinishReason;

Status Session::answer(Turn& turn) {
  turn.history.reserve(engine_->text_spec().context + 1);
  turn.history = turn.prompt.ids;
  if (turn.config.max_new_tokens == 0) turn.end = FinishReason::kLength;
  const Stopwatch first;
  std::optional<Stopwatch> rest;
  while (!turn.end) {
    if (turn.cancel_asked()) return cancelled("stopped while answering");
    if (!turn.out.ids.empty()) QHX_RETURN_IF_ERROR(feed(turn, turn.out.ids.back()));
    QHX_RETURN_IF_ERROR(next_token(turn));
    if (rest) continue;
    turn.out.metrics.prefill_ms += first.ms();
    rest.emplace();
  }
  if (rest) turn.out.metrics.decode_ms = rest->ms();
  return {};
}

Status Session::next_token(Turn& turn) {
  QHX_ASSIGN_OR_RETURN(const std::span<const float> logits, runner_->run_head());
  QHX_RETURN_IF_ERROR(turn.dump.logits(turn.out.ids.size(), logits));
  QHX_ASSIGN_OR_RETURN(const std::int32_t id, sampler_.next(logits, turn.history));
  turn.out.ids.push_back(id);
  turn.history.push_back(id);
  if (turn.out.ids.size() == 1) turn.out.metrics.ttft_ms = turn.since_start.ms();
  const bool stop =
      std::find(turn.stop_ids.begin(), turn.stop_ids.end(), id) != turn.stop_ids.end();
  const std::string piece = stop ? std::string() : turn.stream.push(id);
  if (stop) {
    turn.end = FinishReason::kStop;
  } else if (turn.stream.stopped()) {
    turn.end = FinishReason::kStopString;
  } else if (turn.out.ids.size() >= turn.config.max_new_tokens) {
    turn.end = FinishReason::kLength;
  } else if (turn.history.size() >= engine_->text_spec().context) {
    turn.end = FinishReason::kContext;
  }
  turn.tell(piece, id, false);
  return {};
}

Status Session::feed(Turn& turn, std::int32_t id) {
  const std::size_t next = ahead_.right + 1;
  if (guess_) speculation_.guessed(*guess_ == id);
  guess_.reset();
  if (next < ahead_.tokens.size()) {
    speculation_.guessed(ahead_.tokens[next] == id);
    if (ahead_.tokens[next] == id) {
      ahead_.right = next;
      ++turn.out.metrics.accepted_tokens;
      cached_.emplace_back(0, static_cast<std::uint32_t>(id));
      runner_->use_row(ahead_.graph, next);
      return {};
    }
  }
  settle();
  if (turn.config.speculate == 0) return decode(turn, id);
  const auto guesses = guess_next(turn.history);
  const Speculation::Call call = choose_call(turn, guesses.empty() ? 0 : runner_->spec().context);
  if (call.drafts > 0) return check(turn, id, call, guesses);
  if (!guesses.empty()) guess_ = guesses[0];
  return decode(turn, id);
}

Speculation::Call Session::choose_call(const Turn& turn, std::size_t guesses) const {
  // No more than can become part of the answer, with one token after them.
  guesses = std::min(guesses, turn.config.max_new_tokens - turn.out.ids.size() - 1);
  const int limit = turn.config.speculate;
  if (limit == qhexrt::GenerateConfig::kSpeculateAuto)
    return speculation_.choose(runner_->cached(), guesses);
  return speculation_.whatever_it_costs(runner_->cached(),
                                        std::min(guesses, static_cast<std::size_t>(limit)));
}

Status Session::decode(Turn& turn, std::int32_t id) {
  const auto at = static_cast<std::int32_t>(runner_->cached()) + turn.prompt.position_delta;
  QHX_RETURN_IF_ERROR(engine_->embeddings().row(id, runner_->decode().x(0)));
  const Stopwatch watch;
  QHX_RETURN_IF_ERROR(runner_->run_decode({at, at, at}));
  speculation_.decoded(watch.ms());
  cached_.emplace_back(0, static_cast<std::uint32_t>(id));
  return {};
}

// Beyond the known guesses the text is taken to repeat itself, which is what they say.
Status Session::check(Turn& turn, std::int32_t id, Speculation::Call call,
                      std::span<const std::int32_t> guesses) {
  const std::size_t graph = call.graph;
  ahead_.tokens.assign(1, id);
  for (std::size_t i = 0; i < call.drafts; ++i)
    ahead_.tokens.push_back(guesses[i % guesses.size()]);
  ahead_.positions.clear();
  ahead_.graph = graph;
  ahead_.right = 0;
  auto at = static_cast<std::int32_t>(runner_->cached()) + turn.prompt.position_delta;
  for (std::size_t row = 0; row < ahead_.tokens.size(); ++row, ++at) {
    QHX_RETURN_IF_ERROR(
        engine_->embeddings().row(ahead_.tokens[row], runner_->graph(graph).x(row)));
    ahead_.positions.push_back({at, at, at});
  }
  const Stopwatch watch;
  const Status status = runner_->run(graph, ahead_.positions);
  ahead_.ms = watch.ms();
  if (!status.ok()) ahead_.tokens.clear();
  QHX_RETURN_IF_ERROR(status);
  cached_.emplace_back(0, static_cast<std::uint32_t>(id));
  runner_->use_row(graph, 0);
  turn.out.metrics.drafted_tokens += call.drafts;
  ++turn.out.metrics.verify_runs;
  return {};
}

void Session::settle() {
  if (ahead_.tokens.empty()) return;
  speculation_.checked(ahead_.graph, ahead_.ms, 1 + ahead_.right);
  runner_->truncate(cached_.size());
  ahead_.tokens.clear();
  ahead_.right = 0;
}

}  // namespace qhx::engine
