#include "engine/session.h"

#include <algorithm>
#include <cstring>

#include "engine/turn.h"

namespace qhx::engine {

using qhexrt::FinishReason;

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

}  // namespace qhx::engine
