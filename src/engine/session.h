// One conversation: the tokens in its KV cache, its sampler, and how an answer is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "engine/dump.h"
#include "engine/engine.h"
#include "engine/pictures.h"
#include "engine/request.h"
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
        sampler_(engine_->text_spec().vocab) {}

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
  Status feed(Turn& turn, std::int32_t id);

  std::shared_ptr<const Engine> engine_;
  std::unique_ptr<runtime::TextRunner> runner_;
  sampling::Sampler sampler_;
  std::vector<Key> cached_;  // keys of the tokens in the cache
  // Of the last prompt's pictures.
  std::map<PictureId, std::shared_ptr<const runtime::ImageFeatures>> features_;
};

}  // namespace qhx::engine
