#include "verify/engine_trace.h"

#include <algorithm>

#include "engine/pictures.h"
#include "engine/request.h"
#include "runtime/text_runner.h"
#include "vision/positions.h"

namespace qhx::verify {
namespace {

using engine::Engine;

struct KeepInput final : runtime::VisionObserver {
  Status patches(std::span<const float>, std::size_t, std::size_t) override { return {}; }
  Status vision_in(std::span<const float> values, std::size_t, std::size_t) override {
    input.assign(values.begin(), values.end());
    return {};
  }
  Status features(const runtime::ImageFeatures&, std::size_t) override { return {}; }
  std::vector<float> input;
};

Result<std::shared_ptr<const runtime::ImageFeatures>> run_picture(const Engine& engine,
                                                                  const vision::Image& image,
                                                                  Trace& trace) {
  KeepInput observer;
  QHX_ASSIGN_OR_RETURN(runtime::ImageFeatures made, engine.vision()->encode(image, &observer));
  // Without Stage-F the graph takes the patches themselves: nothing was computed yet.
  if (engine.vision()->spec().stage_f)
    trace.stages.push_back({"vision_in", std::move(observer.input)});
  trace.stages.push_back({"image_embeds", made.embeds});
  for (std::size_t k = 0; k < made.deepstack.size(); ++k)
    trace.stages.push_back({"deepstack_" + std::to_string(k), made.deepstack[k]});
  return std::make_shared<const runtime::ImageFeatures>(std::move(made));
}

Status check_input(const Engine& engine, const Input& input) {
  const runtime::TextSpec& spec = engine.text_spec();
  if (input.picture.has_value() && engine.vision() == nullptr)
    return unsupported("this manifest takes text only, no pictures");
  if (input.prompt_ids.empty())
    return invalid_argument("expected at least one token of the prompt");
  for (const auto* ids : {&input.prompt_ids, &input.answer_ids}) {
    for (const std::int32_t id : *ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= spec.vocab)
        return invalid_argument("token id " + std::to_string(id) + ": outside the vocabulary of " +
                                std::to_string(spec.vocab));
    }
  }
  return {};
}

Result<vision::MropePositions> positions_of(const Engine& engine, const Input& input) {
  std::vector<vision::Grid> grids;
  if (input.picture.has_value()) grids.push_back(engine.vision()->spec().grid);
  const int merge = engine.vision() == nullptr ? 1 : engine.vision()->spec().params.merge;
  const std::int32_t image_token = engine.vision() == nullptr ? -1 : engine.image_token();
  return vision::mrope_positions(input.prompt_ids, image_token, grids, merge);
}

// What executions take. An emulated device expands the weights anew at each of them.
class Cost {
 public:
  Cost(const Engine& engine, bool emulation)
      : engine_(&engine), call_(emulation ? 300 : 1), row_(emulation ? 3 : 0.25) {}

  double picture() const { return of("vision", engine_->vision()->spec().grid.patches()); }
  double chunk(const runtime::Chunk& chunk) const {
    return of("llm", engine_->text_spec().graphs[chunk.graph].rows);
  }
  double step() const { return of("llm", 1) + head(); }
  double head() const { return of("lmhead", 1); }

 private:
  // A byte of a binary is about a weight or, of 16 bits, half of one.
  double of(const std::string& role, std::size_t rows) const {
    const manifest::Artifacts& artifacts = engine_->manifest().artifacts;
    const auto file = artifacts.contexts.find(role);
    if (file == artifacts.contexts.end()) return 0;
    const auto record = artifacts.files.find(file->second);
    if (record == artifacts.files.end()) return 0;
    return static_cast<double>(record->second.bytes) * (call_ + row_ * static_cast<double>(rows));
  }

  const Engine* engine_;
  double call_, row_;
};

// Where the picture's tokens begin and end; both 0 without one.
std::pair<std::size_t, std::size_t> picture_tokens(const Engine& engine, const Input& input) {
  if (!input.picture.has_value()) return {0, 0};
  const auto& ids = input.prompt_ids;
  const std::int32_t token = engine.image_token();
  const auto first = std::find(ids.begin(), ids.end(), token);
  const auto end = std::find_if(first, ids.end(), [token](std::int32_t id) { return id != token; });
  return {static_cast<std::size_t>(first - ids.begin()),
          static_cast<std::size_t>(end - ids.begin())};
}

Result<std::vector<runtime::Chunk>> plan(const Engine& engine, const Input& input) {
  const std::size_t images_end = picture_tokens(engine, input).second;
  QHX_ASSIGN_OR_RETURN(
      runtime::PromptPlan plan,
      runtime::plan_prompt(engine.text_spec(), input.prompt_ids.size(), 0, images_end));
  return std::move(plan.chunks);
}

// Logits of the last token into the trace.
Status run_head(runtime::TextRunner& runner, Trace& trace) {
  QHX_ASSIGN_OR_RETURN(const std::span<const float> logits, runner.run_head());
  trace.stages.push_back({numbered("logits", trace.steps.size()), {logits.begin(), logits.end()}});
  trace.steps.push_back(best_of(logits));
  return {};
}

void keep_hidden(const runtime::TextRunner& runner, std::string name, Trace& trace) {
  const std::span<const float> hidden = runner.hidden();
  trace.stages.push_back({std::move(name), {hidden.begin(), hidden.end()}});
}

}  // namespace

Status check_room(const Engine& engine, std::size_t prompt, std::size_t answer) {
  const std::size_t context = engine.text_spec().context;
  if (prompt + answer <= context) return {};
  return out_of_range("the prompt has " + std::to_string(prompt) + " tokens, the answer " +
                      std::to_string(answer) + ", the context holds " + std::to_string(context) +
                      ": give fewer --tokens or a shorter --prompt");
}

Status encode_input(const Engine& engine, Input& input) {
  qhexrt::Prompt prompt;
  qhexrt::Message message;
  if (input.picture.has_value()) {
    if (engine.vision() == nullptr)
      return unsupported("this manifest takes text only, no pictures");
    qhexrt::Picture picture;
    picture.width = input.picture->width;
    picture.height = input.picture->height;
    picture.rgb = input.picture->rgb;
    QHX_ASSIGN_OR_RETURN(auto prepared,
                         engine::prepare_picture(picture, *engine.manifest().vision));
    input.picture = std::move(prepared);
    message.parts.push_back({"", std::move(picture)});
  }
  message.parts.push_back({input.prompt, std::nullopt});
  prompt.messages.push_back(std::move(message));
  QHX_ASSIGN_OR_RETURN(engine::EncodedPrompt encoded, engine::encode_prompt(engine, prompt, {}));
  input.prompt_ids = std::move(encoded.ids);
  return {};
}

Result<double> engine_work(const Engine& engine, const Input& input, std::size_t tokens,
                           bool emulation) {
  QHX_RETURN_IF_ERROR(check_input(engine, input));
  const Cost cost(engine, emulation);
  QHX_ASSIGN_OR_RETURN(const std::vector<runtime::Chunk> chunks, plan(engine, input));
  double work = input.picture.has_value() ? cost.picture() : 0;
  for (const runtime::Chunk& chunk : chunks) work += cost.chunk(chunk);
  return work + cost.head() + static_cast<double>(tokens - 1) * cost.step();
}

Result<Trace> trace_engine(const Engine& engine, const Input& input, bool emulation,
                           const Advance& advance) {
  QHX_RETURN_IF_ERROR(check_input(engine, input));
  if (input.answer_ids.empty())
    return invalid_argument("expected at least one token of the answer");
  QHX_RETURN_IF_ERROR(check_room(engine, input.prompt_ids.size(), input.answer_ids.size()));
  QHX_ASSIGN_OR_RETURN(const vision::MropePositions positions, positions_of(engine, input));
  QHX_ASSIGN_OR_RETURN(const std::vector<runtime::Chunk> chunks, plan(engine, input));
  const Cost cost(engine, emulation);
  Trace trace;
  std::vector<runtime::PlacedImage> images;
  if (input.picture.has_value()) {
    advance(0, "bundle: picture");
    images.push_back({picture_tokens(engine, input).first, nullptr});
    QHX_ASSIGN_OR_RETURN(images[0].features, run_picture(engine, *input.picture, trace));
    advance(cost.picture(), "bundle: prompt");
  }
  QHX_ASSIGN_OR_RETURN(auto runner,
                       runtime::TextRunner::create(engine.text_spec(), engine.graphs()));
  std::size_t chunk = 0;
  const auto before_chunk = [&] {
    advance(chunk == 0 ? 0 : cost.chunk(chunks[chunk - 1]), "bundle: prompt");
    ++chunk;
    return false;
  };
  QHX_RETURN_IF_ERROR(runtime::run_prompt(*runner, engine.embeddings(),
                                          {input.prompt_ids, positions.ids, images}, chunks,
                                          before_chunk));
  advance(cost.chunk(chunks.back()), "bundle: answer");
  keep_hidden(*runner, "hidden_prefill", trace);
  QHX_RETURN_IF_ERROR(run_head(*runner, trace));
  advance(cost.head(), "bundle: answer");
  for (std::size_t step = 1; step < input.answer_ids.size(); ++step) {
    const auto at = static_cast<std::int32_t>(runner->cached()) + positions.delta;
    QHX_RETURN_IF_ERROR(engine.embeddings().row(input.answer_ids[step - 1], runner->decode().x(0)));
    QHX_RETURN_IF_ERROR(runner->run_decode({at, at, at}));
    keep_hidden(*runner, numbered("hidden", step), trace);
    QHX_RETURN_IF_ERROR(run_head(*runner, trace));
    advance(cost.step(), "bundle: answer");
  }
  return trace;
}

}  // namespace qhx::verify
