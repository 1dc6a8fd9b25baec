// Questions about pictures that another session, or another process, has seen before.
#include "engine/bundle_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "engine/session.h"
#include "fakes/toy_bundle.h"

namespace qhx::engine {
namespace {

namespace fs = std::filesystem;
using fakes::ToyBundle;
using fakes::ToyOptions;
using runtime::Role;

// 64 pixels a side: 64 tokens.
constexpr std::uint32_t kSide = 64;
constexpr std::size_t kTokens = 64;

ToyOptions toy() {
  ToyOptions options;
  options.context = 320;
  options.further_rows = {64};
  options.deepstack = 2;
  return options;
}

qhexrt::Picture picture(std::uint8_t shade) {
  qhexrt::Picture p;
  p.width = p.height = kSide;
  for (std::uint32_t i = 0; i < 3 * kSide * kSide; ++i)
    p.rgb.push_back(static_cast<std::uint8_t>(shade + i * 7));
  return p;
}

qhexrt::Prompt ask(std::vector<std::uint8_t> shades, std::string question, std::string system) {
  qhexrt::Prompt prompt;
  if (!system.empty())
    prompt.messages.push_back({qhexrt::Role::kSystem, {{std::move(system), std::nullopt}}});
  qhexrt::Message& message = prompt.messages.emplace_back();
  for (const std::uint8_t shade : shades) message.parts.push_back({"", picture(shade)});
  message.parts.push_back({std::move(question), std::nullopt});
  return prompt;
}

class BundleCacheTest : public testing::Test {
 protected:
  BundleCacheTest() {
    set_log_sink([](LogLevel, std::string_view) {}, LogLevel::kWarn);
  }

  // A new engine, as another process would have it.
  void start(bool cache, std::uint64_t max_bytes = 1 << 26) {
    auto engine = bundle_->engine();
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *engine;
    if (cache) {
      ASSERT_TRUE(engine_->use_cache(folder(), max_bytes).ok());
    }
    session_ = std::move(Session::create(engine_)).value();
  }
  void set(ToyOptions options) { bundle_ = std::make_unique<ToyBundle>(options, kSide); }
  fs::path folder() const { return bundle_->folder() / "cache"; }

  qhexrt::Output answer(const qhexrt::Prompt& prompt, const qhexrt::Callbacks& callbacks = {},
                        qhexrt::GenerateConfig config = {}) {
    config.max_new_tokens = 6;
    const auto out = session_->generate(prompt, config, callbacks);
    EXPECT_TRUE(out.ok()) << out.status();
    return out.ok() ? *out : qhexrt::Output{};
  }
  // What a session without a cache folder says.
  std::vector<std::int32_t> truth(const qhexrt::Prompt& prompt) {
    start(false);
    return answer(prompt).ids;
  }
  // In a new engine with the cache folder, compared with the truth.
  qhexrt::Output fresh(const qhexrt::Prompt& prompt) {
    const auto expected = truth(prompt);
    start(true);
    const auto out = answer(prompt);
    EXPECT_EQ(out.ids, expected);
    return out;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    if (!fs::exists(folder())) return all;
    for (const auto& entry : fs::directory_iterator(folder())) all.push_back(entry.path());
    return all;
  }

  std::unique_ptr<ToyBundle> bundle_ = std::make_unique<ToyBundle>(toy(), kSide);
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
};

TEST_F(BundleCacheTest, ASecondQuestionNeedsNeitherVisionNorThePicturesPrefill) {
  const auto first = fresh(ask({1}, "what", ""));
  EXPECT_EQ(first.metrics.cached_tokens, 0u);
  EXPECT_EQ(first.metrics.vision_runs, 1u);
  EXPECT_EQ(files().size(), 2u);  // features, and the prompt up to the picture's end
  const auto second = fresh(ask({1}, "where", ""));
  // [u] <|vs|> picture <|ve|>
  EXPECT_EQ(second.metrics.cached_tokens, 3u + 1 + kTokens + 1);
  EXPECT_EQ(second.metrics.reused_tokens, second.metrics.cached_tokens);
  EXPECT_EQ(second.metrics.vision_runs, 0u);
  EXPECT_EQ(second.metrics.cached_pictures, 0u) << "nor the features";
  EXPECT_EQ(bundle_->model().opened.count(Role::kVision), 0u);
  EXPECT_LE(second.metrics.prefill_runs, 2u);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(BundleCacheTest, BothLayoutsAndSeveralContextsGiveTheSame) {
  for (const bool head_major : {true, false}) {
    for (const bool int8_cache : {false, true}) {
      ToyOptions options = toy();
      options.head_major = head_major;
      options.int8_cache = int8_cache;
      options.further_contexts = {72, 96, 200};
      set(options);
      fresh(ask({1}, "what", ""));
      EXPECT_GT(fresh(ask({1}, "what is there to the left of it", "")).metrics.cached_tokens,
                kTokens);
    }
  }
}

TEST_F(BundleCacheTest, AnotherBeginningStillHasTheFeatures) {
  fresh(ask({1}, "what", ""));
  const auto other = fresh(ask({1}, "what", "be brief"));
  EXPECT_EQ(other.metrics.cached_tokens, 0u);
  EXPECT_EQ(other.metrics.cached_pictures, 1u);
  EXPECT_EQ(other.metrics.vision_runs, 0u);
}

TEST_F(BundleCacheTest, PartsAreSharedOneByOne) {
  const std::string system = "answer in one word and no more than that";
  fresh(ask({1, 2}, "what", system));
  const std::size_t system_tokens = fresh(ask({}, "what", system)).metrics.cached_tokens;
  EXPECT_GE(system_tokens, BundleCache::kLeastPart);
  const auto one = fresh(ask({1, 3}, "where", system));
  EXPECT_EQ(one.metrics.cached_tokens, system_tokens + 3 + 1 + kTokens + 1);
  EXPECT_EQ(one.metrics.vision_runs, 1u);
  EXPECT_EQ(fresh(ask({1, 2}, "who", system)).metrics.cached_tokens,
            system_tokens + 3 + 2 * (1 + kTokens + 1));
  EXPECT_EQ(fresh(ask({2, 1}, "what", system)).metrics.cached_tokens, system_tokens);
}

TEST_F(BundleCacheTest, ASessionGoesOnWithWhatTheFolderHas) {
  fresh(ask({1}, "what", ""));
  const auto expected = truth(ask({1}, "who", ""));
  start(true);
  EXPECT_EQ(answer(ask({2}, "what", "")).metrics.cached_tokens, 0u);
  const auto back = answer(ask({1}, "who", ""));  // shares the first tokens with the one before
  EXPECT_EQ(back.ids, expected);
  EXPECT_EQ(back.metrics.vision_runs, 0u);
  EXPECT_EQ(back.metrics.reused_tokens, 3u + 1 + kTokens + 1);
  EXPECT_EQ(back.metrics.cached_tokens, kTokens + 1);
  const auto again = answer(ask({1}, "who", ""));  // all of it is in the session's own cache
  EXPECT_EQ(again.ids, expected);
  EXPECT_EQ(again.metrics.cached_tokens, 0u);
  EXPECT_EQ(again.metrics.reused_tokens, again.metrics.prompt_tokens - 1);
}

TEST_F(BundleCacheTest, DamagedFilesAreMadeAgain) {
  fresh(ask({1}, "what", ""));
  const auto good = files();
  for (const fs::path& path : good) {
    std::string bytes = read_file(path).value();
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 16);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  const auto made_again = fresh(ask({1}, "where", ""));
  EXPECT_EQ(made_again.metrics.vision_runs, 1u);
  EXPECT_EQ(made_again.metrics.cached_tokens, 0u);
  EXPECT_EQ(files().size(), good.size());
  EXPECT_GT(fresh(ask({1}, "why", "")).metrics.cached_tokens, kTokens);
}

// The rows of the session's own cache that it was read over are gone then.
TEST_F(BundleCacheTest, DamageIsNoHarmToASessionThatHasAPart) {
  fresh(ask({1}, "what", ""));
  for (const fs::path& path : files()) fs::resize_file(path, fs::file_size(path) - 1);
  const auto expected = truth(ask({1}, "where", ""));
  start(true);
  answer(ask({2}, "what", ""));
  EXPECT_EQ(answer(ask({1}, "where", "")).ids, expected);
  // Nothing in common, damaged, and stopped before anything else is in its place.
  fresh(ask({1}, "what", "a message that is long enough for a part"));
  for (const fs::path& path : files()) fs::resize_file(path, fs::file_size(path) - 1);
  start(true);
  const auto first = answer(ask({2}, "what", ""));
  qhexrt::Callbacks stop;
  stop.should_cancel = [] { return true; };
  answer(ask({1}, "what", "a message that is long enough for a part"), stop);
  EXPECT_EQ(answer(ask({2}, "what", "")).ids, first.ids);
}

TEST_F(BundleCacheTest, AnotherBundleHasOtherKeys) {
  fresh(ask({1}, "what", ""));
  bundle_->manifest().params.rope_theta = 101;
  EXPECT_EQ(fresh(ask({1}, "what", "")).metrics.cached_tokens, 0u);
  const auto identity = [&] {
    const runtime::BundleFiles all(bundle_->folder(), bundle_->manifest().artifacts);
    return bundle_identity(bundle_->manifest(), all, "library").value();
  };
  const auto before = identity();
  EXPECT_EQ(identity(), before);
  fs::last_write_time(bundle_->folder() / "embed.bin", fs::file_time_type::clock::now());
  EXPECT_NE(identity(), before) << "a file without a recorded hash";
  const runtime::BundleFiles all(bundle_->folder(), bundle_->manifest().artifacts);
  EXPECT_NE(bundle_identity(bundle_->manifest(), all, "other").value(), identity());
}

TEST_F(BundleCacheTest, WhatACancelledTurnLeftIsNotTakenForItsOwn) {
  start(true);
  answer(ask({1}, "what", ""));
  qhexrt::Callbacks stop;
  stop.should_cancel = [] { return true; };
  EXPECT_EQ(answer(ask({2}, "what", ""), stop).finish_reason, qhexrt::FinishReason::kCancelled);
  EXPECT_EQ(fresh(ask({2}, "what", "")).metrics.cached_tokens, 0u);
}

TEST_F(BundleCacheTest, ADumpIsMadeAnewAndNotKept) {
  fresh(ask({1}, "what", ""));
  start(true);
  qhexrt::GenerateConfig config;
  config.dump_folder = (bundle_->folder() / "dump").string();
  const auto out = answer(ask({1}, "what", ""), {}, config);
  EXPECT_EQ(out.metrics.vision_runs, 1u);
  EXPECT_EQ(out.metrics.cached_tokens, 0u);
}

TEST_F(BundleCacheTest, AFolderThatIsTooSmallOrGoneDoesNoHarm) {
  const auto expected = truth(ask({1}, "what", ""));
  start(true, 100);
  EXPECT_EQ(answer(ask({1}, "what", "")).ids, expected);
  EXPECT_TRUE(files().empty());
  start(true);
  fs::remove_all(folder());
  EXPECT_EQ(answer(ask({1}, "what", "")).ids, expected);
}

// The picture's file is known: it is not even decoded.
TEST_F(BundleCacheTest, UnreadablePicturesAreRefusedUnlessKnown) {
  start(true);
  qhexrt::Prompt prompt = ask({1}, "what", "");
  prompt.messages[0].parts[0].picture->rgb.pop_back();
  EXPECT_EQ(session_->generate(prompt, {}, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(files().empty());
  EXPECT_TRUE(bundle_->model().runs.empty());
}

// A bundle whose prefill graphs do not see the past starts over where that is cheaper.
TEST_F(BundleCacheTest, WithoutAPastInPrefillTheAnswerIsTheSame) {
  ToyOptions options = toy();
  options.prefill_past = false;
  options.prefill_rows = 96;
  options.further_rows = {};
  set(options);
  fresh(ask({1}, "what", ""));
  const auto second = fresh(ask({1}, "what is there", ""));
  EXPECT_LE(second.metrics.cached_tokens, second.metrics.reused_tokens);
  EXPECT_EQ(second.metrics.vision_runs, 0u);
}

}  // namespace
}  // namespace qhx::engine
