// A tiny model through the vendor's simulator (QHX_HTP_LIB_DIR), and libraries that have none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "forge/bundle/test_checkpoint.h"
#include "profile/profile.h"

namespace qhx::profile {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class Profile : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("QHX_PROGRAM");
    if (program == nullptr) GTEST_SKIP() << "QHX_PROGRAM is not set";
    forge::make_checkpoint({}, folder_.path());
    options_.forge.checkpoint = folder_.path();
    options_.forge.worker_program = program;
    options_.forge.rounding = forge::Rounding::kNearest;
    options_.forge.image = {64, 64};
    options_.forge.context_rows = {64};
    options_.forge.prefill_rows = {8};
    options_.forge.threads = 1;
    options_.targets = {"v79"};
    options_.stages = {Stage::kVision, Stage::kPrefill, Stage::kDecode, Stage::kHead};
  }

  // False: there is no vendor library, and the test is skipped.
  bool take_vendor_library() {
    const char* folder = std::getenv("QHX_HTP_LIB_DIR");
    if (folder == nullptr || *folder == '\0') return false;
    options_.forge.qnn_library = std::string(folder) + "/libQnnHtp.so";
    options_.forge.system_library = std::string(folder) + "/libQnnSystem.so";
    return true;
  }

  forge::TestFolder folder_{"profile"};
  Options options_;
};

std::vector<std::string> names(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row.name);
  return names;
}

// Nothing is measured for it: the plan is that of a model which bears integers everywhere.
TEST_F(Profile, IntegersAreSimulatedWithoutMeasuring) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  options_.forge.integers = true;
  options_.stages = {Stage::kPrefill};
  options_.layers = 1;
  const auto report = profile(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->graphs.size(), 1u) << report->failures.size() << " failed";
  const auto& operations = report->graphs[0].operations;
  EXPECT_TRUE(std::any_of(operations.begin(), operations.end(), [](const auto& operation) {
    return operation.name.find("Quantize") != std::string::npos;
  }));
}

TEST_F(Profile, EachGraphIsSimulatedAndItsOperationsHaveTheirLayers) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  const auto report = profile(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->graphs.size(), 4u);
  for (const GraphProfile& graph : report->graphs) {
    SCOPED_TRACE(graph.graph);
    EXPECT_GT(graph.us, 0);
    EXPECT_EQ(graph.facts.soc, "SM8750");
    EXPECT_THAT(graph.facts.library, HasSubstr("v2."));
    EXPECT_GT(graph.total.read_bytes, 0u);
    EXPECT_GT(graph.total.busy(qnn::SimulatedUnit::kTransfer), 0);
    EXPECT_GT(graph.total.busy(qnn::SimulatedUnit::kMatrix), 0);
    EXPECT_LE(graph.facts.vtcm_peak_bytes, graph.facts.vtcm_bytes);
    EXPECT_FALSE(graph.timeline.empty());
  }
  for (const std::size_t layered : {0, 1, 2}) {
    EXPECT_THAT(names(report->graphs[layered].parts),
                IsSupersetOf({"layer 0", "layer 1", "layer 2"}));
  }
  EXPECT_THAT(names(report->graphs[2].places),
              IsSupersetOf({"Conv2d mlp.down_proj", "Conv2d self_attn.o_proj", "Softmax #1"}));
  ASSERT_EQ(report->derived.size(), 1u);
  EXPECT_GT(report->derived[0].first_token_us, report->graphs[0].us);
}

TEST_F(Profile, ASlowerCornerAndFewerLayersAreFollowed) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  options_.stages = {Stage::kDecode};
  const auto whole = profile(options_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  options_.corner = 2;
  const auto slow = profile(options_);
  ASSERT_TRUE(slow.ok()) << slow.status();
  EXPECT_LT(slow->graphs[0].facts.core_mhz, whole->graphs[0].facts.core_mhz);
  EXPECT_GT(slow->graphs[0].us, whole->graphs[0].us);
  options_.corner = 9;
  options_.layers = 1;
  const auto cut = profile(options_);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_LT(cut->graphs[0].us, whole->graphs[0].us);
  EXPECT_EQ(cut->graphs[0].of_layers, 3u);
}

TEST_F(Profile, ShapesAloneAreEnough) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  options_.stages = {Stage::kVision, Stage::kDecode};
  options_.layers = 1;
  const auto given = profile(options_);
  ASSERT_TRUE(given.ok()) << given.status();
  std::filesystem::remove(folder_.path() / "model.safetensors");
  options_.draw_weights = true;
  const auto drawn = profile(options_);
  ASSERT_TRUE(drawn.ok()) << drawn.status();
  for (const std::size_t i : {0, 1}) EXPECT_EQ(drawn->graphs[i].us, given->graphs[i].us);
}

TEST_F(Profile, ALibraryWithoutSimulatorIsNamed) {
  const char* library = std::getenv("QHX_CPU_LIB");
  if (library == nullptr) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  options_.forge.qnn_library = options_.forge.system_library = library;
  options_.stages = {Stage::kHead};
  const auto report = profile(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->graphs.empty());
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].graph, "lmhead");
  const Status& status = report->failures[0].status;
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("written no simulation"));
  EXPECT_THAT(status.message(), HasSubstr("libQhxCpu.so ("));
}

TEST_F(Profile, AGraphThatCannotBeFinalizedDoesNotSpoilTheOthers) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  options_.stages = {Stage::kDecode, Stage::kHead};
  options_.progress = [this](std::size_t, std::size_t, const std::string& graph) {
    // The first graph's worker finds no weights, the second's does.
    const auto weights = folder_.path() / "model.safetensors", away = folder_.path() / "away";
    if (graph == "v79 decode_1" && std::filesystem::exists(weights))
      std::filesystem::rename(weights, away);
    if (graph == "v79 lmhead" && std::filesystem::exists(away))
      std::filesystem::rename(away, weights);
    return Status();
  };
  const auto report = profile(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_THAT(report->failures[0].status.message(), HasSubstr("v79 decode_1"));
  ASSERT_EQ(report->graphs.size(), 1u);
  EXPECT_EQ(report->graphs[0].graph, "lmhead");
}

TEST_F(Profile, StopsOnRequest) {
  if (!take_vendor_library()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  options_.progress = [](std::size_t, std::size_t, const std::string&) {
    return cancelled("stopped");
  };
  EXPECT_EQ(profile(options_).status().code(), StatusCode::kCancelled);
}

TEST_F(Profile, ATargetWithoutDeviceIsRefused) {
  const char* library = std::getenv("QHX_CPU_LIB");
  if (library == nullptr) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  options_.forge.qnn_library = options_.forge.system_library = library;
  options_.targets = {"cpu"};
  EXPECT_THAT(profile(options_).status().message(), HasSubstr("--soc cpu"));
}

}  // namespace
}  // namespace qhx::profile
