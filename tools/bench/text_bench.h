// The text graphs of a loaded bundle on prompts and contexts of given lengths.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "runtime/text_runner.h"
#include "sampling/sampler.h"

namespace qhx::bench {

// One cache, one thread. What is measured is what an answer takes: embedding, graphs, head and the
// choice of the likeliest token, but no text.
class TextBench {
 public:
  static Result<std::unique_ptr<TextBench>> create(std::shared_ptr<const engine::Engine> engine);

  // Milliseconds from an empty cache to the first token after `tokens` (at least 1).
  Result<double> prefill(std::size_t tokens);
  // Brings the cache to `tokens` tokens (at least 1).
  Status fill(std::size_t tokens);
  // Milliseconds of `steps` further tokens; the cache is as before afterwards. They must fit.
  Result<double> decode(std::size_t steps);

 private:
  TextBench(std::shared_ptr<const engine::Engine> engine,
            std::unique_ptr<runtime::TextRunner> runner)
      : engine_(std::move(engine)),
        runner_(std::move(runner)),
        sampler_(engine_->text_spec().vocab) {}
  Result<std::int32_t> next_token();

  std::shared_ptr<const engine::Engine> engine_;
  std::unique_ptr<runtime::TextRunner> runner_;
  sampling::Sampler sampler_;
};

}  // namespace qhx::bench
