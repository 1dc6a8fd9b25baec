#include "bench/turn_bench.h"

#include "bench/machine.h"
#include "forge/ranges/drawing.h"
#include "vision/image.h"

namespace qhx::bench {
namespace {

using engine::Session;

constexpr const char* kFirst = "Describe this picture in detail.";
constexpr const char* kSecond = "Which colour is in the middle of it?";
constexpr const char* kTextOnly = "Why is the sky blue?";
constexpr const char* kSecondTextOnly = "Why is the sea blue?";
constexpr double kWordsWork = 16, kPatchWork = 0.75;

qhexrt::Prompt prompt_of(const std::optional<vision::Image>& image, const char* words) {
  qhexrt::Message message;
  if (image.has_value()) {
    qhexrt::Picture picture;
    picture.width = image->width;
    picture.height = image->height;
    picture.rgb = image->rgb;
    message.parts.push_back({"", std::move(picture)});
  }
  message.parts.push_back({words, std::nullopt});
  qhexrt::Prompt prompt;
  prompt.messages.push_back(std::move(message));
  return prompt;
}

Result<qhexrt::Output> generate(Session& session, const qhexrt::Prompt& prompt,
                                std::size_t tokens) {
  qhexrt::GenerateConfig config;
  config.max_new_tokens = tokens;
  config.temperature = 0.0f;
  config.repetition_penalty = 1.0f;
  return session.generate(prompt, config, {});
}

}  // namespace

Result<Question> make_question(const std::filesystem::path& image, const engine::Engine& engine) {
  std::optional<vision::Image> picture;
  const auto& size = engine.manifest().vision;
  if (!image.empty()) {
    if (!size.has_value())
      return unsupported("--image: this manifest takes text only, no pictures");
    QHX_ASSIGN_OR_RETURN(picture, vision::read_image(image));
  } else if (size.has_value()) {
    picture = forge::draw_calibration_picture(static_cast<int>(size->width),
                                              static_cast<int>(size->height));
  }
  const bool has = picture.has_value();
  return Question{prompt_of(picture, has ? kFirst : kTextOnly),
                  prompt_of(picture, has ? kSecond : kSecondTextOnly), has};
}

Result<qhexrt::Output> ask(Session& session, const Question& question, std::size_t tokens) {
  return generate(session, question.first, tokens);
}

double turn_work(const engine::Engine& engine) {
  if (engine.vision() == nullptr) return kWordsWork;
  const runtime::VisionSpec& spec = engine.vision()->spec();
  return kWordsWork + static_cast<double>(spec.tokens) +
         kPatchWork * static_cast<double>(spec.grid.patches());
}

Result<std::optional<Turn>> measure_turn(
    const Question& question, std::size_t repetitions, std::shared_ptr<const engine::Engine> engine,
    const std::function<void(double, std::string_view)>& advance) {
  const double work = turn_work(*engine);
  const char* stage = question.picture ? "picture turn" : "turn";
  advance(0, stage);
  QHX_ASSIGN_OR_RETURN(const auto session, Session::create(std::move(engine)));
  Turn turn;
  turn.picture = question.picture;
  auto first = generate(*session, question.first, 1);
  if (first.status().code() == StatusCode::kOutOfRange) return std::optional<Turn>();
  QHX_RETURN_IF_ERROR(first.status());
  turn.prompt_tokens = first->metrics.prompt_tokens;
  turn.first_ttft = first->metrics.ttft_ms;
  const OtherLoad others;
  for (std::size_t i = 0; i < repetitions; ++i) {
    advance(work, stage);
    session->reset();
    QHX_ASSIGN_OR_RETURN(const qhexrt::Output out, generate(*session, question.first, 1));
    turn.image.add(out.metrics.image_ms);
    turn.vision.add(out.metrics.vision_ms);
    turn.prefill.add(out.metrics.prefill_ms);
    turn.ttft.add(out.metrics.ttft_ms);
    QHX_ASSIGN_OR_RETURN(const qhexrt::Output second, generate(*session, question.second, 1));
    turn.second_ttft.add(second.metrics.ttft_ms);
    turn.second_reused = second.metrics.reused_tokens;
  }
  turn.others = others.cores();
  advance(work, "");
  return std::optional(std::move(turn));
}

}  // namespace qhx::bench
