#include "tune/tune.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "forge/bundle/forge.h"
#include "forge/bundle/test_checkpoint.h"
#include "manifest/manifest.h"

namespace qhx::tune {
namespace {

class TuneTest : public ::testing::Test {
 protected:
  void forge(const char* weights) {
    const char* const library = std::getenv("QHX_CPU_LIB");
    ASSERT_NE(library, nullptr);
    forge::ForgeOptions options;
    options.checkpoint = QHX_DEMO_MODEL;
    options.output = folder_.path() / "bundle";
    options.target = *forge::parse_target("cpu");
    options.weights = *forge::parse_weight_format(weights);
    options.image = {128, 96};
    options.context_rows = {512};
    options.prefill_rows = {64};
    options.name = "demo";
    options.qnn_library = options.system_library = library;
    const auto report = forge::forge_bundle(options);
    ASSERT_TRUE(report.ok()) << report.status();
    options_ = {.path = options.output,
                .backend_library = library,
                .system_library = library,
                .progress = false};
  }

  std::string form_of(const char* manifest, const char* role) const {
    const auto read = manifest::load_manifest(options_.path / manifest);
    EXPECT_TRUE(read.ok()) << read.status();
    return read->artifacts.files.at(read->artifacts.contexts.at(role)).activations;
  }

  forge::TestFolder folder_{"qhx-tune-"};
  Options options_;
};

TEST_F(TuneTest, WritesWhatItMeasuredIntoAllManifests) {
  forge("w8");
  const auto report = tune(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->pictures, 3u);
  EXPECT_GT(report->texts, 0u);
  if (!report->why_not.empty()) GTEST_SKIP() << report->why_not;
  ASSERT_EQ(report->choices.size(), 2u);
  for (const Choice& choice : report->choices) {
    EXPECT_EQ(form_of("demo-vlm-128x96.json", choice.role.c_str()), choice.form);
    bool tried = choice.form.empty();
    for (const Attempt& attempt : report->attempts) {
      if (attempt.role != choice.role) continue;
      EXPECT_LT(attempt.least, 1) << "8 bits cost something";
      EXPECT_GT(attempt.least, 0.99);
      tried |= attempt.form == choice.form && attempt.ok();
    }
    EXPECT_TRUE(tried);
  }
  EXPECT_EQ(form_of("demo-text-128x96.json", "llm"), report->choices[1].form);
  // The same again changes nothing.
  const auto again = tune(options_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->written.empty());
  const auto json = nlohmann::json::parse(to_json(*report));
  EXPECT_EQ(json["attempts"].size(), report->attempts.size());
  for (const Attempt& attempt : report->attempts)
    EXPECT_NE(to_text(*report).find(attempt.stage), std::string::npos);
}

TEST_F(TuneTest, ADryRunWritesNothing) {
  forge("w8");
  options_.dry_run = true;
  const auto before = read_file(options_.path / "demo-vlm-128x96.json");
  const auto report = tune(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->written.empty());
  EXPECT_EQ(*read_file(options_.path / "demo-vlm-128x96.json"), *before);
}

TEST_F(TuneTest, WeightsThatAreNoIntegersLeaveNoChoice) {
  forge("f16");
  const auto report = tune(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->choices.empty());
  EXPECT_NE(report->why_not.find("not integers"), std::string::npos);
  EXPECT_TRUE(report->written.empty());
}

TEST_F(TuneTest, TheVariableThatDecidesIsRefused) {
  setenv("QHX_CPU_ACTIVATIONS", "int8", 1);
  EXPECT_EQ(tune(options_).status().code(), StatusCode::kInvalidArgument);
  unsetenv("QHX_CPU_ACTIVATIONS");
}

}  // namespace
}  // namespace qhx::tune
