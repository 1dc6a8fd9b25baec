#include "engine/session.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace qhx::engine {

using qhexrt::FinishReason;

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
      end = FinishReason::kCancelled;
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
  std::optional<FinishReason> end;
};

namespace {

Result<sampling::Config> sampling_config(const manifest::Sampling& defaults,
                                         const qhexrt::GenerateConfig& config) {
  sampling::Config out;
  out.temperature = config.temperature.value_or(defaults.temperature);
  out.top_k = config.top_k.value_or(defaults.top_k);
  out.top_p = config.top_p.value_or(defaults.top_p);
  out.min_p = config.min_p.value_or(defaults.min_p);
  out.repetition_penalty = config.repetition_penalty.value_or(defaults.repetition_penalty);
  out.repetition_window = config.repetition_window;
  out.seed = config.seed;
  QHX_RETURN_IF_ERROR(sampling::validate(out));
  return out;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Engine> engine) {
  QHX_ASSIGN_OR_RETURN(auto runner,
                       runtime::TextRunner::create(engine->text_spec(), engine->graphs()));
  return std::unique_ptr<Session>(new Session(std::move(engine), std::move(runner)));
}

void Session::reset() {
  runner_->truncate(0);
  cached_.clear();
  features_.clear();
}

Result<qhexrt::Output> Session::generate(const qhexrt::Prompt& prompt,
                                         const qhexrt::GenerateConfig& config,
                                         const qhexrt::Callbacks& callbacks) {
  const Stopwatch since_start;
  QHX_ASSIGN_OR_RETURN(const sampling::Config sampling,
                       sampling_config(engine_->manifest().sampling, config));
  QHX_ASSIGN_OR_RETURN(EncodedPrompt encoded, encode_prompt(*engine_, prompt, config));
  sampler_.configure(sampling);
  Turn turn(config, callbacks, std::move(encoded), engine_->tokenizer());
  turn.since_start = since_start;
  return generate_checked(turn);
}

Result<qhexrt::Output> Session::generate_checked(Turn& turn) {
  qhexrt::Metrics& metrics = turn.out.metrics;
  metrics.prompt_tokens = turn.prompt.ids.size();
  metrics.load_ms = engine_->load_ms();
  metrics.seed = sampler_.seed();
  turn.stop_ids = engine_->stop_ids();
  turn.stop_ids.insert(turn.stop_ids.end(), turn.config.stop_token_ids.begin(),
                       turn.config.stop_token_ids.end());
  turn.uses_cache = engine_->cache() != nullptr && !turn.dump.on();
  QHX_RETURN_IF_ERROR(plan(turn));
  QHX_RETURN_IF_ERROR(prepare_pictures(turn));
  runner_->reset_runs();
  Status status = run_graphs(turn);
  if (status.code() == StatusCode::kCancelled) {
    turn.end = FinishReason::kCancelled;
    status = {};
  }
  QHX_RETURN_IF_ERROR(status);
  if (const std::string rest = turn.stream.flush(); !rest.empty()) turn.tell(rest, -1, false);
  turn.tell("", -1, true);
  QHX_RETURN_IF_ERROR(turn.dump.ints("output_ids", turn.out.ids));
  turn.out.text = turn.stream.text();
  turn.out.finish_reason = *turn.end;
  metrics.generated_tokens = turn.out.ids.size();
  metrics.prefill_runs = runner_->runs().prefill - metrics.verify_runs;
  metrics.decode_runs = runner_->runs().decode;
  metrics.head_runs = runner_->runs().head;
  if (turn.uses_cache) fill_cache(turn);
  return std::move(turn.out);
}

Status Session::run_graphs(Turn& turn) {
  const qnn::PerformanceVote vote = engine_->graphs().performance_vote();
  QHX_RETURN_IF_ERROR(encode_pictures(turn));
  QHX_RETURN_IF_ERROR(read_prompt(turn));
  const Status status = answer(turn);
  settle();
  guess_.reset();
  return status;
}

std::vector<Session::Key> Session::keys_of(const Turn& turn) const {
  std::vector<Key> keys;
  keys.reserve(engine_->text_spec().context);
  for (const std::int32_t id : turn.prompt.ids)
    keys.emplace_back(0, static_cast<std::uint32_t>(id));
  for (std::size_t i = 0; i < turn.pictures.size(); ++i) {
    const text::TextRange range = turn.prompt.pictures[i];
    std::uint64_t half[2];
    std::memcpy(half, turn.pictures[i].data(), sizeof half);
    // The high bit keeps pictures apart from plain ids; the place goes into the other half.
    for (std::size_t at = range.begin; at < range.end; ++at)
      keys[at] = {half[0] | (std::uint64_t{1} << 63), half[1] + (at - range.begin)};
  }
  return keys;
}

std::size_t Session::common(const Turn& turn) const {
  const auto differ =
      std::mismatch(turn.keys.begin(), turn.keys.end(), cached_.begin(), cached_.end());
  return static_cast<std::size_t>(differ.first - turn.keys.begin());
}

std::size_t Session::reuse(Turn& turn) {
  const std::size_t here = common(turn);
  if (!turn.uses_cache) return here;
  const Stopwatch watch;
  turn.parts = engine_->cache()->parts_of(turn.prompt, turn.pictures);
  const std::size_t found = engine_->cache()->load(turn.parts, here, *runner_);
  if (runner_->cached() != cached_.size() || found != here)
    cached_.assign(turn.keys.begin(), turn.keys.begin() + static_cast<std::ptrdiff_t>(found));
  turn.out.metrics.cached_tokens = found - std::min(found, here);
  turn.out.metrics.cache_ms = watch.ms();
  return found;
}

// What of the prompt can stay, and how the rest is run.
Status Session::plan(Turn& turn) {
  const Stopwatch watch;
  for (const qhexrt::Picture* picture : turn.prompt.sources)
    turn.pictures.push_back(identify(*picture));
  turn.out.metrics.image_ms = watch.ms();
  turn.keys = keys_of(turn);
  const std::size_t known = reuse(turn);
  const std::size_t images_end = turn.prompt.pictures.empty() ? 0 : turn.prompt.pictures.back().end;
  const runtime::TextSpec& spec = engine_->text_spec();
  QHX_ASSIGN_OR_RETURN(turn.plan, runtime::plan_prompt(spec, turn.keys.size(), known, images_end));
  qhexrt::Metrics& metrics = turn.out.metrics;
  metrics.reused_tokens = turn.plan.start;
  metrics.cached_tokens -= std::min(metrics.cached_tokens, known - turn.plan.start);
  return {};
}

Status Session::prepare_pictures(Turn& turn) {
  qhexrt::Metrics& metrics = turn.out.metrics;
  decltype(features_) kept;
  for (std::size_t i = 0; i < turn.pictures.size(); ++i) {
    const PictureId& id = turn.pictures[i];
    if (const auto known = features_.find(id); known != features_.end()) kept.insert(*known);
    if (turn.prompt.pictures[i].end <= turn.plan.start) continue;  // all of it is in the KV cache
    if (kept.contains(id) || turn.unknown.contains(id)) continue;
    if (turn.uses_cache) {
      const Stopwatch watch;
      auto features = engine_->cache()->load_features(id, engine_->vision()->spec());
      metrics.cache_ms += watch.ms();
      if (features != nullptr) {
        kept.emplace(id, std::move(features));
        ++metrics.cached_pictures;
        continue;
      }
    }
    const Stopwatch watch;
    auto image = prepare_picture(*turn.prompt.sources[i], *engine_->manifest().vision);
    if (!image.ok()) return image.status().with_context("picture " + std::to_string(i + 1));
    turn.unknown.emplace(id, std::move(image).value());
    metrics.image_ms += watch.ms();
  }
  features_ = std::move(kept);
  return {};
}

Status Session::encode_pictures(Turn& turn) {
  const Stopwatch watch;
  for (std::size_t i = 0; i < turn.pictures.size(); ++i) {
    const PictureId& id = turn.pictures[i];
    const text::TextRange range = turn.prompt.pictures[i];
    if (range.end <= turn.plan.start) continue;
    if (!features_.contains(id)) {
      if (turn.cancel_asked()) return cancelled("stopped before a picture");
      const vision::Image& image = turn.unknown.at(id);
      PictureDump dump(turn.dump, i);
      QHX_RETURN_IF_ERROR(dump.pixels(image));
      QHX_ASSIGN_OR_RETURN(runtime::ImageFeatures features,
                           engine_->vision()->encode(image, turn.dump.on() ? &dump : nullptr));
      features_[id] = std::make_shared<const runtime::ImageFeatures>(std::move(features));
      ++turn.out.metrics.vision_runs;
    }
    turn.images.push_back({range.begin, features_[id]});
  }
  turn.out.metrics.vision_ms = watch.ms();
  return {};
}

Status Session::read_prompt(Turn& turn) {
  const EncodedPrompt& prompt = turn.prompt;
  QHX_RETURN_IF_ERROR(turn.dump.ints("position_ids", prompt.positions, 3));
  QHX_RETURN_IF_ERROR(turn.dump.ints("input_ids", prompt.ids));
  const Stopwatch watch;
  runner_->truncate(turn.plan.start);
  const Status status = runtime::run_prompt(*runner_, engine_->embeddings(),
                                            {prompt.ids, prompt.positions, turn.images},
                                            turn.plan.chunks, turn.callbacks.should_cancel);
  cached_.assign(turn.keys.begin(),
                 turn.keys.begin() + static_cast<std::ptrdiff_t>(runner_->cached()));
  cached_.reserve(engine_->text_spec().context);
  turn.out.metrics.prefill_ms = watch.ms();
  QHX_RETURN_IF_ERROR(status);
  return turn.dump.floats("hidden_prefill", runner_->hidden());
}

// After the answer, since nobody waits then; and not after an error, since what led to it is not
// worth keeping.
void Session::fill_cache(const Turn& turn) {
  for (const auto& [id, image] : turn.unknown) {
    if (const auto made = features_.find(id); made != features_.end())
      engine_->cache()->store_features(id, *made->second);
  }
  // A turn that was cancelled early has left the cache of the one before.
  engine_->cache()->store(turn.parts, common(turn), *runner_);
}

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
  const Speculation::Call call = choose_call(turn, guesses.size());
  if (call.drafts > 0) return check(turn, id, call.graph, guesses.first(call.drafts));
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

Status Session::check(Turn& turn, std::int32_t id, std::size_t graph,
                      std::span<const std::int32_t> guesses) {
  ahead_.tokens.assign(1, id);
  ahead_.tokens.insert(ahead_.tokens.end(), guesses.begin(), guesses.end());
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
  turn.out.metrics.drafted_tokens += guesses.size();
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
