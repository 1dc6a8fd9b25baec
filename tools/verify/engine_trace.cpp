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
  if (input.prompt_ids.empty() || input.answer_ids.empty())
    return invalid_argument("expected at least one token of the prompt and one of the answer");
  QHX_RETURN_IF_ERROR(check_room(engine, input.prompt_ids.size(), input.answer_ids.size()));
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
    input.picture = std::move(prepared.image);
    message.parts.push_back({"", std::move(picture)});
  }
  message.parts.push_back({input.prompt, std::nullopt});
  prompt.messages.push_back(std::move(message));
  QHX_ASSIGN_OR_RETURN(engine::EncodedPrompt encoded, engine::encode_prompt(engine, prompt, {}));
  input.prompt_ids = std::move(encoded.ids);
  return {};
}

Result<Trace> trace_engine(const Engine& engine, const Input& input, const Advance& advance) {
  QHX_RETURN_IF_ERROR(check_input(engine, input));
  QHX_ASSIGN_OR_RETURN(const vision::MropePositions positions, positions_of(engine, input));
  Trace trace;
  std::vector<runtime::PlacedImage> images;
  std::size_t images_end = 0;
  if (input.picture.has_value()) {
    const auto& ids = input.prompt_ids;
    const auto first = std::find(ids.begin(), ids.end(), engine.image_token()) - ids.begin();
    images.push_back({static_cast<std::size_t>(first), nullptr});
    QHX_ASSIGN_OR_RETURN(images[0].features, run_picture(engine, *input.picture, trace));
    images_end = images[0].first_token + images[0].features->tokens;
    advance(20, "bundle: text");
  }
  QHX_ASSIGN_OR_RETURN(auto runner,
                       runtime::TextRunner::create(engine.text_spec(), engine.graphs()));
  QHX_ASSIGN_OR_RETURN(
      const runtime::PromptPlan plan,
      runtime::plan_prompt(engine.text_spec(), input.prompt_ids.size(), 0, images_end));
  QHX_RETURN_IF_ERROR(runtime::run_prompt(
      *runner, engine.embeddings(), {input.prompt_ids, positions.ids, images}, plan.chunks, {}));
  keep_hidden(*runner, "hidden_prefill", trace);
  QHX_RETURN_IF_ERROR(run_head(*runner, trace));
  advance(20, "bundle: answer");
  for (std::size_t step = 1; step < input.answer_ids.size(); ++step) {
    const auto at = static_cast<std::int32_t>(runner->cached()) + positions.delta;
    QHX_RETURN_IF_ERROR(engine.embeddings().row(input.answer_ids[step - 1], runner->decode().x(0)));
    QHX_RETURN_IF_ERROR(runner->run_decode({at, at, at}));
    keep_hidden(*runner, numbered("hidden", step), trace);
    QHX_RETURN_IF_ERROR(run_head(*runner, trace));
    advance(2, "bundle: answer");
  }
  return trace;
}

}  // namespace qhx::verify
