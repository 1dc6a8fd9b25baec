// Sessions over a toy model: what is said, when it ends, what is run again and what is refused.
#include "engine/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/npy.h"
#include "fakes/toy_bundle.h"

namespace qhx::engine {
namespace {

using fakes::saying;
using fakes::ToyBundle;
using fakes::ToyOptions;
using qhexrt::FinishReason;
using runtime::Role;
using testing::ElementsAre;
using testing::HasSubstr;

// Greedy, without the model's own end.
std::vector<std::int32_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

qhexrt::Picture picture(int width, int height, std::uint8_t shade) {
  qhexrt::Picture p;
  p.width = width;
  p.height = height;
  for (int i = 0; i < 3 * width * height; ++i)
    p.rgb.push_back(static_cast<std::uint8_t>(shade + i * 7));
  return p;
}

qhexrt::Prompt text_prompt(std::string text) {
  qhexrt::Prompt prompt;
  prompt.messages = {qhexrt::user(std::move(text))};
  return prompt;
}

qhexrt::Prompt picture_prompt(std::vector<qhexrt::Picture> pictures, std::string text) {
  qhexrt::Prompt prompt = text_prompt(std::move(text));
  for (auto& p : pictures) prompt.messages[0].parts.push_back({"", std::move(p)});
  return prompt;
}

class SessionTest : public testing::Test {
 protected:
  void start(ToyOptions options = {}, std::uint32_t picture_size = 0) {
    bundle_ = std::make_unique<ToyBundle>(options, picture_size);
    open();
  }
  void open() {
    auto engine = bundle_->engine();
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *engine;
    session_ = std::move(Session::create(engine_)).value();
  }
  fakes::ToyModel& model() { return bundle_->model(); }

  Result<qhexrt::Output> generate(const qhexrt::Prompt& prompt, std::size_t tokens = 8,
                                  qhexrt::GenerateConfig config = {},
                                  qhexrt::Callbacks callbacks = {}) {
    config.max_new_tokens = tokens;
    return session_->generate(prompt, config, callbacks);
  }
  qhexrt::Output must(const Result<qhexrt::Output>& result) {
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : qhexrt::Output{};
  }

  std::unique_ptr<ToyBundle> bundle_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
};

TEST_F(SessionTest, EndsAtAStopTokenWhichIsAnIdButNoText) {
  start();
  model().head = saying({'H', 'i', bundle_->end, 'x'});
  const auto out = must(generate(text_prompt("house")));
  EXPECT_EQ(out.text, "Hi");
  EXPECT_THAT(out.ids, ElementsAre('H', 'i', bundle_->end));
  EXPECT_EQ(out.finish_reason, FinishReason::kStop);
  EXPECT_EQ(out.metrics.prompt_tokens, 3u + 5 + 1 + 3);  // [u] hello <|end|> [a]
  EXPECT_EQ(out.metrics.generated_tokens, 3u);
  EXPECT_EQ(out.metrics.head_runs, 3u);
  EXPECT_EQ(out.metrics.decode_runs, 2u);
}

TEST_F(SessionTest, StreamsWholeCharactersAndEndsOnce) {
  start();
  model().head = saying({'a', 0xC3, 0xA9 /* é */, 0xF0, 0x9F});
  std::vector<std::string> pieces;
  std::vector<std::int32_t> tokens;
  int finals = 0;
  qhexrt::Callbacks callbacks;
  callbacks.on_token = [&](std::string_view piece, std::int32_t token, bool final) {
    pieces.emplace_back(piece);
    tokens.push_back(token);
    finals += final ? 1 : 0;
    return true;
  };
  const auto out = must(generate(text_prompt("x"), 5, {}, callbacks));
  EXPECT_THAT(pieces, ElementsAre("a", "", "\xC3\xA9", "", "", "\xEF\xBF\xBD", ""));
  EXPECT_THAT(tokens, ElementsAre('a', 0xC3, 0xA9, 0xF0, 0x9F, -1, -1));
  EXPECT_EQ(finals, 1);
  EXPECT_EQ(out.text, "a\xC3\xA9\xEF\xBF\xBD");
  EXPECT_EQ(out.finish_reason, FinishReason::kLength);
}

TEST_F(SessionTest, StopStringsAcrossTokensAreNeverShown) {
  start();
  model().head = saying(bytes_of("one END two"));
  std::string streamed;
  qhexrt::Callbacks callbacks;
  callbacks.on_token = [&](std::string_view piece, std::int32_t, bool) {
    streamed += piece;
    return true;
  };
  qhexrt::GenerateConfig config;
  config.stop_strings = {"zzz", " END"};
  const auto out = must(generate(text_prompt("x"), 20, config, callbacks));
  EXPECT_EQ(out.text, "one");
  EXPECT_EQ(streamed, "one");
  EXPECT_EQ(out.finish_reason, FinishReason::kStopString);
  EXPECT_EQ(out.ids.size(), 7u);
}

TEST_F(SessionTest, HeldBackBeginningOfAStopStringIsGivenAtTheEnd) {
  start();
  model().head = saying(bytes_of("ab EN"));
  qhexrt::GenerateConfig config;
  config.stop_strings = {" END"};
  EXPECT_EQ(must(generate(text_prompt("x"), 5, config)).text, "ab EN");
}

TEST_F(SessionTest, ZeroTokensReadsThePromptOnly) {
  start();
  const auto out = must(generate(text_prompt("house"), 0));
  EXPECT_EQ(out.ids.size(), 0u);
  EXPECT_EQ(out.finish_reason, FinishReason::kLength);
  EXPECT_EQ(out.metrics.head_runs, 0u);
  EXPECT_EQ(out.metrics.prefill_runs, 2u);
}

TEST_F(SessionTest, AnEmptyUserTextIsAllowed) {
  start();
  model().head = saying({'x'});
  EXPECT_EQ(must(generate(text_prompt(""), 1)).text, "x");
}

TEST_F(SessionTest, TheContextEndsTheAnswerAndRefusesTheTooLong) {
  start();  // 40 rows; the template takes 7 tokens
  model().head = saying({'x'});
  const auto full = must(generate(text_prompt(std::string(30, 'q')), 100));
  EXPECT_EQ(full.metrics.prompt_tokens, 37u);
  EXPECT_EQ(full.ids.size(), 3u);
  EXPECT_EQ(full.finish_reason, FinishReason::kContext);
  EXPECT_EQ(must(generate(text_prompt(std::string(32, 'q')), 100)).ids.size(), 1u);
  model().runs.clear();
  const auto refused = generate(text_prompt(std::string(33, 'q')), 100);
  EXPECT_EQ(refused.status().code(), StatusCode::kOutOfRange);
  EXPECT_THAT(refused.status().message(), HasSubstr("40 tokens"));
  EXPECT_TRUE(model().runs.empty());
  EXPECT_TRUE(generate(text_prompt(std::string(33, 'q')), 0).ok());
  EXPECT_FALSE(generate(text_prompt(std::string(34, 'q')), 0).ok());
}

TEST_F(SessionTest, DecodeOverPromptAsksTheHeadOnlyAtTheEnd) {
  ToyOptions options;
  options.prefill_rows = 0;
  start(options);
  const auto out = must(generate(text_prompt("house"), 3));
  EXPECT_EQ(out.metrics.prefill_runs, 0u);
  EXPECT_EQ(out.metrics.decode_runs, 12u + 2);
  EXPECT_EQ(out.metrics.head_runs, 3u);
  start();
  EXPECT_EQ(must(generate(text_prompt("house"), 3)).ids, out.ids);
}

TEST_F(SessionTest, ReusesTheCommonBeginning) {
  start();
  const auto first = must(generate(text_prompt("abcdefgh"), 4));
  const auto fresh = [&](const qhexrt::Prompt& prompt) {
    auto other = std::move(Session::create(engine_)).value();
    qhexrt::GenerateConfig config;
    config.max_new_tokens = 4;
    return must(other->generate(prompt, config, {}));
  };
  const auto again = must(generate(text_prompt("abcdefgh"), 4));
  EXPECT_EQ(again.ids, first.ids);
  EXPECT_EQ(again.metrics.reused_tokens, again.metrics.prompt_tokens - 1);
  const auto changed = must(generate(text_prompt("abcdeXYZ12"), 4));
  EXPECT_EQ(changed.metrics.reused_tokens, 3u + 5);
  EXPECT_EQ(changed.ids, fresh(text_prompt("abcdeXYZ12")).ids);
  // The next turn of the conversation keeps the answer as well, as far as it re-encodes to the
  // same tokens; here a part of it.
  session_->reset();
  EXPECT_EQ(must(generate(text_prompt("abcdefgh"), 4)).metrics.reused_tokens, 0u);
}

// The same turns over a model of one context and over one of several.
TEST_F(SessionTest, SeveralContextsGiveTheSameConversation) {
  ToyOptions one, several;
  several.further_contexts = {12, 20, 28};
  several.further_rows = {3};
  const auto converse = [&](const ToyOptions& options) {
    start(options);
    std::vector<qhexrt::Output> out;
    out.push_back(must(generate(text_prompt("abcdefgh"), 7)));          // 15 tokens and 7
    out.push_back(must(generate(text_prompt("abcdefghijklmnop"), 9)));  // a part is reused
    out.push_back(must(generate(text_prompt("a"), 100)));               // to the last row
    out.push_back(must(generate(text_prompt("abc"), 2)));               // a small one fits again
    session_->reset();
    out.push_back(must(generate(text_prompt("abcdefgh"), 7)));
    return out;
  };
  const auto expected = converse(one), found = converse(several);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[i].ids, expected[i].ids) << i;
    EXPECT_EQ(found[i].metrics.reused_tokens, expected[i].metrics.reused_tokens) << i;
  }
  EXPECT_EQ(found[2].finish_reason, FinishReason::kContext);
  EXPECT_EQ(found[2].metrics.prompt_tokens + found[2].ids.size(), 40u);
  EXPECT_EQ(found[4].ids, found[0].ids);
  std::set<std::uint32_t> contexts;
  for (const auto& [context, rows] : model().trace) contexts.insert(context);
  EXPECT_THAT(contexts, ElementsAre(12, 20, 28, 40));
}

TEST_F(SessionTest, ContinuesAConversationFromItsCache) {
  start();
  model().head = saying({'H', 'i', bundle_->end});
  (void)must(generate(text_prompt("house")));
  qhexrt::Prompt next = text_prompt("house");
  next.messages.push_back({qhexrt::Role::kAssistant, {{"Hi", std::nullopt}}});
  next.messages.push_back(qhexrt::user("more"));
  const auto out = must(generate(next));
  // Everything but the stop token, which was generated but never fed: [u]hello<|end|>[a]Hi
  EXPECT_EQ(out.metrics.reused_tokens, 12u + 2);
}

TEST_F(SessionTest, PicturesGoIn) {
  ToyOptions options;
  options.deepstack = 2;
  start(options, 16);  // 4 tokens a picture
  const auto dark = must(generate(picture_prompt({picture(16, 16, 0)}, "x"), 4));
  EXPECT_EQ(dark.metrics.prompt_tokens, 8u + 6);
  EXPECT_EQ(dark.metrics.vision_runs, 1u);
  const auto again = must(generate(picture_prompt({picture(16, 16, 0)}, "x"), 4));
  EXPECT_EQ(again.ids, dark.ids);
  EXPECT_EQ(again.metrics.vision_runs, 0u);
  EXPECT_GT(again.metrics.reused_tokens, 0u);
  const auto other = must(generate(picture_prompt({picture(16, 16, 99)}, "x"), 4));
  EXPECT_EQ(other.metrics.vision_runs, 1u);
  EXPECT_NE(other.ids, dark.ids);
  const auto two = must(generate(picture_prompt({picture(16, 16, 99), picture(9, 40, 0)}, "x"), 4));
  EXPECT_EQ(two.metrics.vision_runs, 1u);  // the first one is known
  session_->reset();
  EXPECT_EQ(must(generate(picture_prompt({picture(16, 16, 99), picture(9, 40, 0)}, "x"), 4)).ids,
            two.ids);
}

TEST_F(SessionTest, TheVisionGraphIsOpenedForAPictureOnly) {
  ToyOptions options;
  start(options, 16);
  (void)must(generate(text_prompt("x"), 1));
  EXPECT_EQ(model().opened.count(Role::kVision), 0u);
  (void)must(generate(picture_prompt({picture(16, 16, 0)}, "x"), 1));
  EXPECT_EQ(model().opened[Role::kVision], 1);
}

TEST_F(SessionTest, TheVisionGraphRestsAfterEachPicture) {
  start({}, 16);
  (void)must(generate(picture_prompt({picture(16, 16, 0), picture(9, 40, 0)}, "x"), 1));
  EXPECT_EQ(model().rests[Role::kVision], 2);
  EXPECT_EQ(model().rests.size(), 1u) << "text graphs run again for the next token";
  model().before = [](Role role) { return role == Role::kVision ? io_error("no") : Status(); };
  EXPECT_FALSE(generate(picture_prompt({picture(16, 16, 99)}, "x"), 1).ok());
  EXPECT_EQ(model().rests[Role::kVision], 3) << "a failed run, too, has read weights";
}

TEST_F(SessionTest, RefusesPicturesBeforeAnyGraphRuns) {
  start({}, 16);
  qhexrt::Picture none;
  none.file = {'n', 'o', 'n', 'e'};
  const auto no_picture = generate(picture_prompt({picture(16, 16, 1), none}, "x"));
  EXPECT_FALSE(no_picture.ok());
  EXPECT_THAT(no_picture.status().message(), HasSubstr("picture 2"));
  qhexrt::Picture short_pixels = picture(16, 16, 0);
  short_pixels.rgb.pop_back();
  EXPECT_EQ(generate(picture_prompt({short_pixels}, "x")).status().code(),
            StatusCode::kInvalidArgument);
  std::vector<qhexrt::Picture> many(10, picture(16, 16, 0));
  EXPECT_EQ(generate(picture_prompt(many, "x")).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(generate(text_prompt("a<|pad|>b")).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(model().runs.empty());
  start();
  EXPECT_EQ(generate(picture_prompt({picture(16, 16, 1)}, "x")).status().code(),
            StatusCode::kUnsupported);
  EXPECT_TRUE(model().runs.empty());
}

TEST_F(SessionTest, RawPromptsTakeNoTemplate) {
  start({}, 16);
  model().head = saying({'x'});
  qhexrt::Prompt prompt;
  prompt.raw = "abc<|end|>";
  EXPECT_EQ(must(generate(prompt, 1)).metrics.prompt_tokens, 4u);
  prompt.raw = "a<|pad|>b<|pad|>";
  prompt.raw_pictures = {picture(16, 16, 0), picture(16, 16, 9)};
  EXPECT_EQ(must(generate(prompt, 1)).metrics.prompt_tokens, 2u + 8);
  prompt.raw = "a<|pad|>b";
  EXPECT_THAT(generate(prompt, 1).status().message(), HasSubstr("1 picture tokens for 2"));
  prompt.raw = "";
  prompt.raw_pictures.clear();
  EXPECT_EQ(generate(prompt, 1).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SessionTest, LiteralUserTextCannotEndTheTurn) {
  start();
  model().head = saying({'x'});
  qhexrt::GenerateConfig config;
  EXPECT_EQ(must(generate(text_prompt("<|end|>"), 1, config)).metrics.prompt_tokens, 8u);
  config.literal_user_text = true;
  EXPECT_EQ(must(generate(text_prompt("<|end|>"), 1, config)).metrics.prompt_tokens, 14u);
}

TEST_F(SessionTest, CancelsBetweenExecutions) {
  start();
  int asked = 0;
  qhexrt::Callbacks callbacks;
  callbacks.should_cancel = [&] { return ++asked == 2; };  // the second prefill chunk
  auto out = must(generate(text_prompt("house"), 8, {}, callbacks));
  EXPECT_EQ(out.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(out.metrics.prefill_runs, 1u);
  EXPECT_EQ(out.metrics.head_runs, 0u);
  callbacks = {};
  callbacks.on_token = [&](std::string_view, std::int32_t, bool) { return false; };
  model().head = saying({'a', 'b', 'c'});
  out = must(generate(text_prompt("house"), 8, {}, callbacks));
  EXPECT_EQ(out.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(out.text, "a");
  // What was interrupted does not disturb what follows.
  model().head = nullptr;
  const auto after = must(generate(text_prompt("house"), 8));
  session_->reset();
  EXPECT_EQ(must(generate(text_prompt("house"), 8)).ids, after.ids);
}

TEST_F(SessionTest, AfterAFailedExecutionTheSessionGoesOn) {
  start();
  int runs = 0;
  model().before = [&](Role role) {
    if (role == Role::kDecode && ++runs == 2) return backend_error("device lost");
    return Status();
  };
  const auto failed = generate(text_prompt("house"), 8);
  EXPECT_EQ(failed.status().code(), StatusCode::kBackend);
  const auto after = must(generate(text_prompt("house"), 8));
  session_->reset();
  EXPECT_EQ(must(generate(text_prompt("house"), 8)).ids, after.ids);
}

TEST_F(SessionTest, NanLogitsAreAnErrorNotAToken) {
  start();
  model().head = [](const std::vector<float>&, std::vector<float>& logits) { logits[3] = NAN; };
  const auto out = generate(text_prompt("house"));
  EXPECT_EQ(out.status().code(), StatusCode::kBackend);
  EXPECT_THAT(out.status().message(), HasSubstr("NaN"));
}

TEST_F(SessionTest, SamplingFollowsSeedAndManifest) {
  bundle_ = std::make_unique<ToyBundle>();
  bundle_->manifest().sampling.temperature = 5.0f;
  open();
  qhexrt::GenerateConfig config;
  config.seed = 11;
  const auto first = must(generate(text_prompt("house"), 12, config));
  EXPECT_EQ(must(generate(text_prompt("house"), 12, config)).ids, first.ids);
  EXPECT_EQ(first.metrics.seed, 11u);
  config.seed = 12;
  EXPECT_NE(must(generate(text_prompt("house"), 12, config)).ids, first.ids);
  config.temperature = 0.0f;
  const auto greedy = must(generate(text_prompt("house"), 12, config));
  config.seed = 13;
  EXPECT_EQ(must(generate(text_prompt("house"), 12, config)).ids, greedy.ids);
  config.top_p = 2.0f;
  EXPECT_EQ(generate(text_prompt("house"), 12, config).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(SessionTest, DumpHasTheNamesAndShapes) {
  ToyOptions options;
  options.deepstack = 1;
  start(options, 16);
  model().head = saying({'a', bundle_->end});
  qhexrt::GenerateConfig config;
  const auto folder = bundle_->folder() / "new" / "dump";
  config.dump_folder = folder.string();
  (void)must(generate(picture_prompt({picture(20, 16, 0), picture(16, 16, 1)}, "x"), 8, config));
  using Shape = std::vector<std::size_t>;
  const std::map<std::string, std::pair<DType, Shape>> expected = {
      {"pixels", {DType::kU8, {16, 16, 3}}},     {"patches", {DType::kF32, {16, 96}}},
      {"vision_in", {DType::kF32, {16, 96}}},    {"image_embeds", {DType::kF32, {4, 8}}},
      {"deepstack_0", {DType::kF32, {4, 8}}},    {"pixels_1", {DType::kU8, {16, 16, 3}}},
      {"patches_1", {DType::kF32, {16, 96}}},    {"vision_in_1", {DType::kF32, {16, 96}}},
      {"image_embeds_1", {DType::kF32, {4, 8}}}, {"deepstack_0_1", {DType::kF32, {4, 8}}},
      {"position_ids", {DType::kI32, {3, 20}}},  {"input_ids", {DType::kI32, {20}}},
      {"hidden_prefill", {DType::kF32, {8}}},    {"logits_000", {DType::kF32, {272}}},
      {"logits_001", {DType::kF32, {272}}},      {"output_ids", {DType::kI32, {2}}}};
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ++files;
    EXPECT_TRUE(expected.contains(entry.path().stem().string())) << entry.path();
  }
  EXPECT_EQ(files, expected.size());
  for (const auto& [name, what] : expected) {
    const auto array = read_npy(folder / (name + ".npy"));
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(array->type, what.first) << name;
    EXPECT_EQ(array->shape, what.second) << name;
  }
}

TEST_F(SessionTest, ARefusedPromptDumpsNothing) {
  start();
  qhexrt::GenerateConfig config;
  config.dump_folder = (bundle_->folder() / "dump").string();
  EXPECT_FALSE(generate(text_prompt(std::string(100, 'x')), 8, config).ok());
  EXPECT_FALSE(std::filesystem::exists(config.dump_folder));
}

// ---- Speculation ----

// One of a few tokens, which follows from the hidden state: guesses are common, and often wrong.
void say_few(const std::vector<float>& hidden, std::vector<float>& logits) {
  float sum = 0;
  for (const float value : hidden) sum += std::abs(value) * 97.0f;
  std::fill(logits.begin(), logits.end(), -100.0f);
  for (int i = 0; i < 3; ++i) logits[static_cast<std::size_t>('a' + i)] = std::sin(sum * (1 + i));
}

ToyOptions for_speculation(bool several_contexts) {
  ToyOptions options;
  options.context = 200;
  options.further_rows = {4};
  if (several_contexts) options.further_contexts = {30, 60, 110};
  return options;
}

// Greedy and drawn, checking guesses of every length: as without.
TEST_F(SessionTest, SpeculationGivesTheSameTokens) {
  for (const bool several : {false, true}) {
    start(for_speculation(several));
    std::size_t accepted = 0, drafted = 0;
    for (const float temperature : {0.0f, 1.0f}) {
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        qhexrt::GenerateConfig config;
        config.temperature = temperature;
        config.repetition_penalty = 1.01f;
        config.seed = seed;
        std::vector<std::int32_t> expected;
        for (const int speculate : {0, 1, 2, 5, 7, qhexrt::GenerateConfig::kSpeculateAuto}) {
          config.speculate = speculate;
          model().head = say_few;
          session_->reset();
          const auto out =
              must(generate(text_prompt("abcabacba" + std::to_string(seed)), 150, config));
          if (speculate == 0) expected = out.ids;
          EXPECT_EQ(out.ids, expected) << "speculate " << speculate << ", seed " << seed;
          EXPECT_LE(out.metrics.accepted_tokens, out.metrics.drafted_tokens);
          EXPECT_EQ(out.metrics.decode_runs + out.metrics.verify_runs + out.metrics.accepted_tokens,
                    out.ids.size() - 1);
          EXPECT_EQ(out.metrics.head_runs, out.ids.size());
          // What is cached afterwards is what was said.
          const auto again =
              must(generate(text_prompt("abcabacba" + std::to_string(seed)), 150, config));
          EXPECT_EQ(again.ids, expected);
          if (speculate <= 0) continue;
          accepted += out.metrics.accepted_tokens;
          drafted += out.metrics.drafted_tokens;
        }
      }
    }
    EXPECT_GT(accepted, 100u);
    EXPECT_LT(accepted, drafted - 100u);
  }
}

TEST_F(SessionTest, SpeculationSavesCallsWhereTextRepeats) {
  start(for_speculation(false));
  std::string text;
  for (int i = 0; i < 8; ++i) text += "one two three ";
  qhexrt::GenerateConfig config;
  config.speculate = 7;
  model().head = saying(bytes_of(text));
  const auto out = must(generate(text_prompt("x"), 100, config));
  EXPECT_EQ(out.text, text.substr(0, 100));
  EXPECT_LE(out.metrics.decode_runs + out.metrics.verify_runs, 40u);
  EXPECT_GE(out.metrics.accepted_tokens, 60u);
}

TEST_F(SessionTest, SpeculationEndsWhereTheAnswerDoes) {
  start(for_speculation(false));
  qhexrt::GenerateConfig config;
  config.speculate = 7;
  for (std::size_t most = 1; most < 30; ++most) {
    model().head = saying(bytes_of("abcdabcdabcdabcdabcdabcdabcdabcdabcd"));
    const auto out = must(generate(text_prompt("x"), most, config));
    EXPECT_EQ(out.ids.size(), most);
    EXPECT_EQ(out.finish_reason, FinishReason::kLength);
  }
  // A stop token among the guesses, a stop string inside them, and the context's end.
  model().head = saying({'a', 'b', bundle_->end, 'x'});
  EXPECT_EQ(must(generate(text_prompt("ab<|end|>ab<|end|>cc"), 20, config)).text, "ab");
  config.stop_strings = {"da"};
  model().head = saying(bytes_of("abcdabcd"));
  EXPECT_EQ(must(generate(text_prompt("abcdabcd"), 20, config)).text, "abc");
  config.stop_strings.clear();
  model().head = saying({'a'});
  const auto full = must(generate(text_prompt(std::string(150, 'a')), 1000, config));
  EXPECT_EQ(full.finish_reason, FinishReason::kContext);
  EXPECT_EQ(full.metrics.prompt_tokens + full.ids.size(), 200u);
}

TEST_F(SessionTest, AFailedOrCancelledCheckLeavesTheSessionRight) {
  start(for_speculation(false));
  qhexrt::GenerateConfig config;
  config.speculate = 7;
  model().head = say_few;
  const auto expected = must(generate(text_prompt("abcabc"), 40, config));
  for (const int at : {3, 4, 5, 9}) {
    session_->reset();
    int runs = 0;
    model().before = [&](Role role) {
      return role == Role::kPrefill && ++runs == at ? backend_error("device lost") : Status();
    };
    EXPECT_EQ(generate(text_prompt("abcabc"), 40, config).status().code(), StatusCode::kBackend);
    model().before = nullptr;
    EXPECT_EQ(must(generate(text_prompt("abcabc"), 40, config)).ids, expected.ids);
    qhexrt::Callbacks stop;
    int tokens = 0;
    stop.on_token = [&](std::string_view, std::int32_t, bool) { return ++tokens < 5 + at; };
    (void)must(generate(text_prompt("abcabc"), 40, config, stop));
    EXPECT_EQ(must(generate(text_prompt("abcabc"), 40, config)).ids, expected.ids);
  }
}

TEST_F(SessionTest, WithoutPrefillThereIsNothingToSpeculateWith) {
  ToyOptions options;
  options.prefill_rows = 0;
  start(options);
  qhexrt::GenerateConfig config;
  config.speculate = 7;
  model().head = saying({'a'});
  EXPECT_EQ(must(generate(text_prompt("aaaa"), 10, config)).metrics.drafted_tokens, 0u);
}

// ---- Engine ----

TEST(Engine, ChecksTokenizerAndPictureTokenAgainstTheModel) {
  ToyBundle bundle({}, 16);
  bundle.manifest().params.image_token_id = 5;
  const auto engine = bundle.engine();
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(engine.status().message(), HasSubstr("image_token_id"));
  bundle.manifest().params.image_token_id.reset();
  EXPECT_EQ((*bundle.engine())->image_token(), bundle.vision_pad);
}

TEST(Engine, StopTokenFollowsFromTheChatFormat) {
  ToyBundle bundle;
  bundle.manifest().params.eos_token_id.clear();
  EXPECT_THAT((*bundle.engine())->stop_ids(), ElementsAre(bundle.end));
}

TEST(Engine, WithoutAChatFormatOnlyRawPromptsWork) {
  ToyBundle bundle;
  bundle.manifest().chat = {};
  const auto engine = bundle.engine();
  ASSERT_TRUE(engine.ok());
  auto session = std::move(Session::create(*engine)).value();
  EXPECT_EQ(session->generate(text_prompt("x"), {}, {}).status().code(), StatusCode::kUnsupported);
  qhexrt::Prompt raw;
  raw.raw = "abc";
  EXPECT_TRUE(session->generate(raw, {}, {}).ok());
}

TEST(Engine, DamagedFilesAreNamed) {
  for (const char* file : {"tokenizer.json", "embed.bin"}) {
    ToyBundle bundle;
    std::filesystem::resize_file(bundle.folder() / file, 100);
    const auto engine = bundle.engine();
    ASSERT_FALSE(engine.ok()) << file;
    EXPECT_EQ(engine.status().code(), StatusCode::kCorrupt);
    EXPECT_THAT(engine.status().message(), HasSubstr(file));
  }
}

}  // namespace
}  // namespace qhx::engine
