// Both sides of a check on a small bundle: they name the same stages, and tell as much work as they
// said beforehand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "forge/bundle/forge.h"
#include "forge/bundle/test_checkpoint.h"
#include "forge/hf/config.h"
#include "forge/ranges/drawing.h"
#include "verify/engine_trace.h"
#include "verify/judge.h"
#include "verify/reference_trace.h"

namespace qhx::verify {
namespace {

constexpr std::size_t kTokens = 5;

class TraceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* library = std::getenv("QHX_CPU_LIB");
    ASSERT_NE(library, nullptr);
    forge::ForgeOptions options;
    options.checkpoint = QHX_DEMO_MODEL;
    options.output = folder_.path() / "bundle";
    options.target = *forge::parse_target("cpu");
    options.image = {128, 96};
    options.context_rows = {64, 128};
    options.prefill_rows = {8};  // a prompt takes several calls
    options.name = "demo";
    options.qnn_library = options.system_library = library;
    const auto report = forge::forge_bundle(options);
    ASSERT_TRUE(report.ok()) << report.status();
    qhexrt::EngineOptions load;
    load.manifest = (options.output / "demo-vlm-128x96.json").string();
    load.backend_library = load.system_library = library;
    auto engine = engine::Engine::load(load);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *engine;
    config_ = hf::load_config(QHX_DEMO_MODEL).value();
    checkpoint_ = hf::Checkpoint::open(QHX_DEMO_MODEL).value();
  }

  // Adds up what is told.
  Advance counting() {
    told_ = 0;
    return [this](double done, std::string_view) { told_ += done; };
  }

  void compare(Input input) {
    ASSERT_TRUE(encode_input(*engine_, input).ok());
    const ReferenceRun run{*config_, *checkpoint_, engine_->vision()->spec().params};
    const double judging = reference_work(run, input, kTokens).value();
    ThreadPool pool(2);
    auto expected =
        trace_reference(run, reference::WeightFormat::kW8, input, kTokens, {}, pool, counting());
    ASSERT_TRUE(expected.ok()) << expected.status();
    EXPECT_NEAR(told_, judging, judging * 1e-9);
    EXPECT_EQ(input.answer_ids.size(), kTokens);
    for (const bool emulation : {false, true}) {
      const double running = engine_work(*engine_, input, kTokens, emulation).value();
      EXPECT_GT(running, 0);
      const auto found = trace_engine(*engine_, input, emulation, counting());
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_NEAR(told_, running, running * 1e-9);
      const Verdict verdict =
          judge_trace(make_judge("x", {0.9999, 0.9999, true}, *expected), *found);
      EXPECT_TRUE(verdict.ok());
      EXPECT_EQ(verdict.greedy_steps, kTokens);
      EXPECT_EQ(verdict.rows.size(), expected->stages.size());
    }
  }

  forge::TestFolder folder_{"qhx-verify-"};
  std::shared_ptr<engine::Engine> engine_;
  std::optional<hf::ModelConfig> config_;
  std::optional<hf::Checkpoint> checkpoint_;
  double told_ = 0;
};

TEST_F(TraceTest, PictureAndText) {
  Input input;
  input.prompt = "Describe this image.";
  input.picture = forge::draw_calibration_picture(300, 200);
  compare(std::move(input));
}

TEST_F(TraceTest, TextAlone) {
  Input input;
  input.prompt = "What is the capital of France?";
  compare(std::move(input));
}

TEST_F(TraceTest, WhatCannotBeRunIsRefused) {
  Input input;
  input.prompt_ids = {1, 2, 3};
  const Advance ignore = [](double, std::string_view) {};
  EXPECT_EQ(trace_engine(*engine_, input, false, ignore).status().code(),
            StatusCode::kInvalidArgument);
  input.answer_ids = {1 << 30};
  EXPECT_EQ(trace_engine(*engine_, input, false, ignore).status().code(),
            StatusCode::kInvalidArgument);
  input.answer_ids.assign(126, 1);
  EXPECT_EQ(trace_engine(*engine_, input, false, ignore).status().code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace qhx::verify
