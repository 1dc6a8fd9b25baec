// One conversation: the tokens in its KV cache, its sampler, and how an answer is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "engine/dump.h"
#include "engine/engine.h"
#include "engine/pictures.h"
#include "engine/request.h"
#include "engine/speculation.h"
#include "engine/stopwatch.h"
#include "engine/text_stream.h"
#include "qhexrt/qhexrt.hpp"
#include "runtime/prompt.h"
#include "runtime/text_runner.h"
#include "sampling/sampler.h"

namespace qhx::engine {

// One thread at a time. After an error the cache holds what was run before it, and the session can
// be used on.
class Session {
 public:
  // Allocates the cache and the buffers of the graphs.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Engine> engine);

  Result<qhexrt::Output> generate(const qhexrt::Prompt& prompt,
                                  const qhexrt::GenerateConfig& config,
                                  const qhexrt::Callbacks& callbacks);
  void reset();

 private:
  // Identifies a token in the cache: its id, or the picture and the place in it. Equal keys from
  // the beginning on mean equal cache rows.
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  // What one generate() call works with.
  struct Turn;

  Session(std::shared_ptr<const Engine> engine, std::unique_ptr<runtime::TextRunner> runner)
      : engine_(std::move(engine)),
        runner_(std::move(runner)),
        sampler_(engine_->text_spec().vocab),
        speculation_(engine_->text_spec()) {
    ahead_.tokens.reserve(engine_->text_spec().prefill_rows());
    ahead_.positions.reserve(engine_->text_spec().prefill_rows());
  }

  Result<qhexrt::Output> generate_checked(Turn& turn);
  // What needs graphs; the device is kept at full speed during it.
  Status run_graphs(Turn& turn);
  // Of pictures that are needed: what is known of them, and the others decoded.
  Status prepare_pictures(Turn& turn);
  std::vector<Key> keys_of(const Turn& turn) const;
  // How many of the prompt's first tokens the KV cache holds.
  std::size_t common(const Turn& turn) const;
  Status plan(Turn& turn);
  // The same after reading from the cache folder what it has.
  std::size_t reuse(Turn& turn);
  Status encode_pictures(Turn& turn);
  Status read_prompt(Turn& turn);
  void fill_cache(const Turn& turn);
  Status answer(Turn& turn);
  // One token: head, sampler, text. Sets the turn's end if this is the last one.
  Status next_token(Turn& turn);
  // Brings a generated token into the cache: by a decode step, with guesses after it, or not at all
  // if it was guessed and is there.
  Status feed(Turn& turn, std::int32_t id);
  Speculation::Call choose_call(const Turn& turn, std::size_t guesses) const;
  Status decode(Turn& turn, std::int32_t id);
  // `id` and guesses in one call.
  Status check(Turn& turn, std::int32_t id, Speculation::Call call,
               std::span<const std::int32_t> guesses);
  // Ends the call that checked guesses last, and forgets those that were wrong or not reached.
  void settle();

  std::shared_ptr<const Engine> engine_;
  std::unique_ptr<runtime::TextRunner> runner_;
  sampling::Sampler sampler_;
  // Keys of the tokens in the cache. The runner may have guesses after these.
  std::vector<Key> cached_;
  Speculation speculation_;
  // The last call that checked guesses, and how far they were right.
  struct Ahead {
    std::vector<std::int32_t> tokens;  // the one that was fed, and the guesses; empty: no such call
    std::vector<runtime::Position> positions;
    std::size_t graph = 0, right = 0;
    double ms = 0;
  } ahead_;
  std::optional<std::int32_t> guess_;  // of the next token, if nothing is checked
  // Of the last prompt's pictures.
  std::map<PictureId, std::shared_ptr<const runtime::ImageFeatures>> features_;
};

}  // namespace qhx::engine
