#include "bench/text_bench.h"

#include <algorithm>

#include "base/check.h"
#include "engine/stopwatch.h"
#include "runtime/prompt.h"

namespace qhx::bench {
namespace {

using engine::Stopwatch;

// Plain words' ids: byte pairs come first in the vocabulary, special tokens last.
std::vector<std::int32_t> make_tokens(std::size_t count, std::size_t vocab) {
  const std::size_t range = std::min<std::size_t>(vocab, 1000);
  std::vector<std::int32_t> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<std::int32_t>((i * 37 + 11) % range);
  return ids;
}

// Of text, all three axes are the place in the prompt: [3, count].
std::vector<std::int32_t> make_positions(std::size_t count) {
  std::vector<std::int32_t> positions(3 * count);
  for (std::size_t i = 0; i < positions.size(); ++i)
    positions[i] = static_cast<std::int32_t>(i % count);
  return positions;
}

}  // namespace

Result<std::unique_ptr<TextBench>> TextBench::create(std::shared_ptr<const engine::Engine> engine) {
  QHX_ASSIGN_OR_RETURN(auto runner,
                       runtime::TextRunner::create(engine->text_spec(), engine->graphs()));
  return std::unique_ptr<TextBench>(new TextBench(std::move(engine), std::move(runner)));
}

Status TextBench::fill(std::size_t tokens) {
  QHX_CHECK(tokens > 0 && tokens <= engine_->text_spec().context);
  const std::size_t common = std::min(runner_->cached(), tokens);
  QHX_ASSIGN_OR_RETURN(const runtime::PromptPlan plan,
                       runtime::plan_prompt(engine_->text_spec(), tokens, common, 0));
  const std::vector<std::int32_t> ids = make_tokens(tokens, engine_->text_spec().vocab);
  const std::vector<std::int32_t> positions = make_positions(tokens);
  const qnn::PerformanceVote vote = engine_->graphs().performance_vote();
  runner_->truncate(plan.start);
  return runtime::run_prompt(*runner_, engine_->embeddings(), {ids, positions, {}}, plan.chunks,
                             {});
}

Result<std::int32_t> TextBench::next_token() {
  QHX_ASSIGN_OR_RETURN(const std::span<const float> logits, runner_->run_head());
  return sampler_.next(logits, {});
}

Result<double> TextBench::prefill(std::size_t tokens) {
  const qnn::PerformanceVote vote = engine_->graphs().performance_vote();
  runner_->truncate(0);
  const Stopwatch watch;
  QHX_RETURN_IF_ERROR(fill(tokens));
  QHX_RETURN_IF_ERROR(next_token().status());
  return watch.ms();
}

Result<double> TextBench::decode(std::size_t steps) {
  const std::size_t before = runner_->cached();
  QHX_CHECK(before + steps <= engine_->text_spec().context);
  const qnn::PerformanceVote vote = engine_->graphs().performance_vote();
  std::int32_t id = 0;
  const Stopwatch watch;
  for (std::size_t i = 0; i < steps; ++i) {
    const auto at = static_cast<std::int32_t>(runner_->cached());
    QHX_RETURN_IF_ERROR(engine_->embeddings().row(id, runner_->decode().x(0)));
    QHX_RETURN_IF_ERROR(runner_->run_decode({at, at, at}));
    QHX_ASSIGN_OR_RETURN(id, next_token());
  }
  const double ms = watch.ms();
  runner_->truncate(before);
  return ms;
}

}  // namespace qhx::bench
