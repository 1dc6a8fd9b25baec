// A bundle of several contexts says what one of a single context says, over the CPU library: the
// demo model, token by token across the borders, with reuse of the cache and to the last row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "forge/bundle/forge.h"
#include "forge/bundle/test_checkpoint.h"
#include "manifest/manifest.h"
#include "qhexrt/qhexrt.hpp"

namespace qhx {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::uint32_t>;

constexpr std::size_t kContext = 384;
constexpr std::size_t kNoEnd = 10000;

// The end-of-turn token does not end an answer, so that answers are as long as asked for.
Status never_stop(const fs::path& file) {
  QHX_ASSIGN_OR_RETURN(manifest::Manifest m, manifest::load_manifest(file));
  m.params.eos_token_id = {static_cast<std::int32_t>(m.params.vocab) - 1};
  return write_file(file, manifest::print_manifest(m).dump());
}

class SeveralContexts : public ::testing::Test {
 protected:
  void SetUp() override {
    one_ = load("one", {kContext});
    several_ = load("several", {64, 128, 256, kContext});
  }

  std::optional<qhexrt::Engine> load(const char* name, const Rows& contexts) {
    const char* library = std::getenv("QHX_CPU_LIB");
    EXPECT_NE(library, nullptr);
    forge::ForgeOptions options;
    options.checkpoint = QHX_DEMO_MODEL;
    options.output = folder_.path() / name;
    options.target = *forge::parse_target("cpu");
    options.image = {320, 320};
    options.context_rows = contexts;
    options.prefill_rows = {32, 64};
    options.name = "demo";
    options.qnn_library = options.system_library = library;
    options.threads = 2;
    const auto report = forge::forge_bundle(options);
    EXPECT_TRUE(report.ok()) << report.status();
    const fs::path manifest = options.output / "demo-vlm-320.json";
    EXPECT_TRUE(never_stop(manifest).ok());
    return open(manifest);
  }

  static std::optional<qhexrt::Engine> open(const fs::path& manifest) {
    qhexrt::EngineOptions engine;
    engine.manifest = manifest.string();
    engine.backend_library = engine.system_library = std::getenv("QHX_CPU_LIB");
    engine.threads = 2;
    auto loaded = qhexrt::Engine::load(engine);
    EXPECT_TRUE(loaded.value.has_value()) << loaded.error.message;
    return std::move(loaded.value);
  }

  // A conversation of several turns; each goes on from the one before.
  static std::vector<qhexrt::Output> converse(const qhexrt::Engine& engine,
                                              const std::vector<qhexrt::Prompt>& turns,
                                              const std::vector<std::size_t>& lengths) {
    auto session = engine.create_session();
    EXPECT_TRUE(session.value.has_value());
    std::vector<qhexrt::Output> out;
    for (std::size_t i = 0; i < turns.size(); ++i) {
      qhexrt::GenerateConfig config;
      config.max_new_tokens = lengths[i];
      auto output = session.value->generate(turns[i], config);
      EXPECT_TRUE(output.value.has_value()) << output.error.message;
      if (output) out.push_back(std::move(*output.value));
    }
    return out;
  }

  void expect_same(const std::vector<qhexrt::Prompt>& turns,
                   const std::vector<std::size_t>& lengths) {
    const auto expected = converse(*one_, turns, lengths);
    found_ = converse(*several_, turns, lengths);
    ASSERT_EQ(expected.size(), turns.size());
    ASSERT_EQ(found_.size(), turns.size());
    for (std::size_t i = 0; i < turns.size(); ++i) {
      EXPECT_EQ(found_[i].ids, expected[i].ids) << "turn " << i;
      EXPECT_EQ(found_[i].metrics.reused_tokens, expected[i].metrics.reused_tokens);
      EXPECT_EQ(found_[i].finish_reason, expected[i].finish_reason);
    }
  }

  forge::TestFolder folder_{"contexts-"};
  std::optional<qhexrt::Engine> one_, several_;
  std::vector<qhexrt::Output> found_;
};

qhexrt::Prompt raw(std::string text) {
  qhexrt::Prompt prompt;
  prompt.raw = std::move(text);
  return prompt;
}

TEST_F(SeveralContexts, AnAnswerGrowsThroughAllOfThemToTheLastRow) {
  expect_same({raw("The picture shows")}, {kNoEnd});
  EXPECT_EQ(found_[0].finish_reason, qhexrt::FinishReason::kContext);
  EXPECT_EQ(found_[0].metrics.prompt_tokens + found_[0].ids.size(), kContext);
}

TEST_F(SeveralContexts, LongAndShortPromptsShareASession) {
  std::string text = "A red circle is above a blue square. ";
  for (int i = 0; i < 3; ++i) text += text;
  expect_same({raw(text), raw(text + "And then"), raw("A red"), raw(text)}, {40, 60, 100, 5});
  EXPECT_GT(found_[0].metrics.prompt_tokens, 64u);
  EXPECT_GE(found_[1].metrics.reused_tokens, found_[0].metrics.prompt_tokens - 1);
}

TEST_F(SeveralContexts, GraphsAreFoundByShapeWithoutAPlan) {
  const fs::path file = folder_.path() / "several" / "demo-vlm-320.json";
  auto m = manifest::load_manifest(file);
  ASSERT_TRUE(m.ok()) << m.status();
  m->plan = {};
  m->source.erase("plan");
  ASSERT_TRUE(write_file(file, manifest::print_manifest(*m).dump()).ok());
  several_ = open(file);
  ASSERT_TRUE(several_.has_value());
  EXPECT_EQ(several_->info().prefill_rows, 64u);
  expect_same({raw("The picture shows")}, {kNoEnd});
  EXPECT_EQ(found_[0].metrics.prompt_tokens + found_[0].ids.size(), kContext);
}

TEST_F(SeveralContexts, APictureGoesIn) {
  qhexrt::Prompt prompt;
  prompt.messages = {qhexrt::user("What is in the picture?")};
  qhexrt::Picture picture;
  picture.width = picture.height = 40;
  for (int i = 0; i < 3 * 40 * 40; ++i)
    picture.rgb.push_back(static_cast<std::uint8_t>(i % 3 == 0 ? 220 : i / 60));
  prompt.messages[0].parts.push_back({"", picture});
  expect_same({prompt, prompt}, {150, 10});
  EXPECT_EQ(found_[0].metrics.vision_runs, 1u);
  EXPECT_GT(found_[1].metrics.reused_tokens, 100u);
}

}  // namespace
}  // namespace qhx
