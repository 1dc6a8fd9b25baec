// What is refused before anything is loaded: chips, builds, memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "fakes/toy_model.h"
#include "runtime/binary_check.h"
#include "runtime/memory_need.h"

namespace qhx::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kBackend = 6;

class BinaryCheck : public ::testing::Test {
 protected:
  BinaryCheck() {
    model.dsp_arch = "v79";
    model.soc_model = 69;
    info.backend_id = kBackend;
    info.dsp_arch = 79;
    info.soc_model = 69;
    info.build_id = "v2.47.0.1";
    target.library = "lib.so";
    target.backend_id = kBackend;
    target.build_id = "v2.51.0.2";
    target.device = {.soc_model = 69, .dsp_arch = 79};
  }
  Status check(bool allow = false) {
    notes.clear();
    return check_binary(model, info, target, allow, notes);
  }
  void expect(StatusCode code, const char* words, bool allow = false) {
    const Status status = check(allow);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(words));
    EXPECT_THAT(notes, IsEmpty());
  }

  manifest::Model model;
  qnn::BinaryInfo info;
  Target target;
  std::vector<std::string> notes;
};

TEST_F(BinaryCheck, WhatFitsPasses) {
  EXPECT_TRUE(check().ok());
  info.build_id = "";
  info.dsp_arch = info.soc_model = 0;
  EXPECT_TRUE(check().ok()) << "what is not recorded is not compared";
  model = {};
  target.device = {};
  EXPECT_TRUE(check().ok());
}

TEST_F(BinaryCheck, AnotherBackend) {
  info.backend_id = 3;
  expect(StatusCode::kUnsupported, "made for QNN backend 3, lib.so is backend HTP");
}

TEST_F(BinaryCheck, ManifestAndBinaryContradictEachOther) {
  model.dsp_arch = "v81";
  expect(StatusCode::kCorrupt, "wrong arch: model.dsp_arch: the manifest says v81, the binary v79");
  expect(StatusCode::kCorrupt, "wrong arch", /*allow=*/false);
  model.dsp_arch = "cpu";
  expect(StatusCode::kCorrupt, "wrong arch: model.dsp_arch: the manifest says cpu");
  model.dsp_arch = "v79";
  model.soc_model = 87;
  expect(StatusCode::kCorrupt, "wrong SoC: model.soc_model: the manifest says 87, the binary 69");
}

TEST_F(BinaryCheck, DeviceOfAnotherArchNeverRunsIt) {
  target.device = {.soc_model = 57, .dsp_arch = 75};
  for (const bool allow : {false, true})
    expect(StatusCode::kUnsupported,
           "wrong arch: made for v79 (SoC 69), this device is v75 (SoC 57); use a bundle made for "
           "v75",
           allow);
  // The manifest speaks for a binary that does not tell.
  info.dsp_arch = info.soc_model = 0;
  expect(StatusCode::kUnsupported, "wrong arch: made for v79 (SoC 69)");
}

TEST_F(BinaryCheck, DeviceOfAnotherSocRunsItOnRequest) {
  target.device.soc_model = 70;
  expect(StatusCode::kUnsupported, "wrong SoC: made for v79 (SoC 69), this device is v79 (SoC 70)");
  EXPECT_TRUE(check(/*allow_arch_mismatch=*/true).ok());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("wrong SoC")));
}

TEST_F(BinaryCheck, EmulationRunsAnotherArchOnRequestAndSaysSo) {
  target.emulation = true;
  info.dsp_arch = 81;
  info.soc_model = 87;
  expect(StatusCode::kCorrupt, "--allow-arch-mismatch");
  EXPECT_TRUE(check(/*allow_arch_mismatch=*/true).ok());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("the manifest says v79, the binary v81")));
  EXPECT_THAT(notes, ElementsAre(HasSubstr("in emulation only")));
}

TEST_F(BinaryCheck, EmulationTakesTheChipOfTheManifestElseOfTheFirstBinary) {
  EXPECT_EQ(choose_emulated(model, {}).soc_model, 69u);
  EXPECT_EQ(choose_emulated(model, {}).dsp_arch, 79u);
  model = {};
  EXPECT_EQ(choose_emulated(model, info).dsp_arch, 79u);
  target.emulation = true;
  target.device = choose_emulated(model, info);
  info.dsp_arch = 81;
  info.soc_model = 87;  // a second binary, of another chip
  expect(StatusCode::kUnsupported, "wrong arch: made for v81 (SoC 87), the emulated chip is v79");
}

TEST_F(BinaryCheck, LibraryOlderThanTheBinary) {
  info.build_id = "v2.52.0.9";
  expect(StatusCode::kUnsupported, "library too old: made by QNN build v2.52.0.9");
  expect(StatusCode::kUnsupported, "lib.so is v2.51.0.2", /*allow=*/true);
  info.build_id = "";
  model.qnn_build = "v3.0.0";
  expect(StatusCode::kUnsupported, "library too old: made by QNN build v3.0.0");
}

TEST_F(BinaryCheck, EmulationLoadsNoSharedWeights) {
  info.graphs.resize(2);
  EXPECT_TRUE(check().ok()) << "a device does";
  target.emulation = true;
  expect(StatusCode::kUnsupported, "cannot load 2 graphs over shared weights");
  for (qnn::GraphInfo& graph : info.graphs)
    graph.htp = qnn::HtpGraphFacts{.shared_weight_bytes = 0};
  EXPECT_TRUE(check().ok());
}

TEST(Target, IsWhatTheLibraryTells) {
  ::setenv("FAKE_HTP_SOC", "57", 1);
  ::setenv("FAKE_HTP_ARCH", "75", 1);
  const auto library = qnn::BackendLibrary::open(QHX_FAKE_HTP);
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_EQ(qnn::read_device_info(**library).soc_model, 57u);
  EXPECT_EQ(qnn::read_device_info(**library).dsp_arch, 75u);
  const Target target = make_target(**library);
  EXPECT_EQ(target.backend_id, qnn::kHtpBackendId);
  EXPECT_EQ(target.build_id, "v2.51.0.1");
  // What an emulation answers is not what it emulates.
  EXPECT_EQ(target.device.soc_model, target.emulation ? 0u : 57u);
  ::unsetenv("FAKE_HTP_SOC");
  ::unsetenv("FAKE_HTP_ARCH");
}

TEST(MemoryNeed, AddsUpWhatTheGraphsTell) {
  // Two layers of 2 heads x 6 values in f16, 40 rows; calls of 1 and 8 rows.
  const fakes::ToyModel toy{fakes::ToyOptions{}};
  qnn::BinaryInfo text, head;
  text.graphs = {toy.graphs.at(Role::kDecode), toy.graphs.at(Role::kPrefill)};
  text.graphs[0].htp = qnn::HtpGraphFacts{.spill_fill_bytes = 300};
  text.graphs[1].htp = qnn::HtpGraphFacts{.spill_fill_bytes = 7000};
  head.graphs = {toy.graphs.at(Role::kHead)};
  head.graphs[0].htp = qnn::HtpGraphFacts{.spill_fill_bytes = 10};
  const std::size_t per_token = 2 * 2 * (2 * 6) * sizeof(std::uint16_t);
  EXPECT_EQ(kv_bytes_per_token(text.graphs[0]), per_token);
  EXPECT_EQ(kv_bytes_per_token(text.graphs[1]), per_token);
  EXPECT_EQ(kv_bytes_per_token(head.graphs[0]), 0u);

  const ContextSize contexts[] = {{1000, &text}, {500, &head}};
  const MemoryNeed need = memory_need(contexts);
  EXPECT_EQ(need.weights, 1500u);
  EXPECT_EQ(need.kv, 40 * per_token) << "both graphs use one cache";
  EXPECT_EQ(need.spill_fill, 7010u) << "graphs of a context take turns";
  const auto floats = [](std::size_t rows) {  // x, y, cos, sin, mask
    return (2 * rows * 8 + 2 * rows * 3 + rows * (40 + rows)) * sizeof(float);
  };
  EXPECT_EQ(need.io, floats(1) + floats(8) + 9 * per_token + (8 + 50) * sizeof(float));
  EXPECT_EQ(need.total(), need.weights + need.kv + need.io + need.spill_fill);
}

TEST(MemoryNeed, RefusedWithBothFiguresAndTheNextStep) {
  const MemoryNeed need = {.weights = 2'000'000'000, .kv = 100'000'000};
  EXPECT_TRUE(admit(need, {2'100'000'000, "the system"}).ok());
  const Status status = admit(need, {2'099'999'999, "the cgroup"});
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange);
  for (const char* words : {"not enough memory", "needs 2100.0 MB", "weights 2000.0 MB",
                            "2100.0 MB are available in the cgroup", "--allow-low-memory"})
    EXPECT_THAT(status.message(), HasSubstr(words));
}

}  // namespace
}  // namespace qhx::runtime
