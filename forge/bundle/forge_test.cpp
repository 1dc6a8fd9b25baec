// Whole bundles of tiny random checkpoints: what they hold, what is refused, and that nothing is
// left behind. QHX_CPU_LIB names our CPU library.
#include "forge/bundle/forge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/f16.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "forge/bundle/check.h"
#include "forge/bundle/quality.h"
#include "forge/bundle/rounding.h"
#include "forge/bundle/test_checkpoint.h"
#include "manifest/manifest.h"
#include "qnn/binary_info.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class Bundle : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* library = std::getenv("QHX_CPU_LIB");
    if (library == nullptr) GTEST_SKIP() << "QHX_CPU_LIB is not set";
    options_.checkpoint = folder_.path() / "hf";
    options_.output = folder_.path() / "bundle";
    options_.target = std::move(parse_target("cpu")).value();
    options_.image = {64, 64};
    options_.context_rows = {64};
    options_.prefill_rows = {8};
    options_.qnn_library = options_.system_library = library;
    options_.threads = 2;
  }

  void expect_nothing_left() { EXPECT_THAT(folder_.names(), ElementsAre("hf")); }

  void expect_failure(StatusCode code, const char* text) {
    const Status status = forge_bundle(options_).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(text));
    expect_nothing_left();
  }

  // Changes config.json after the weights were written.
  void edit_config(const std::function<void(nlohmann::json&)>& edit) {
    const fs::path file = options_.checkpoint / "config.json";
    auto config = nlohmann::json::parse(*read_file(file));
    edit(config);
    ASSERT_TRUE(write_file(file, config.dump()).ok());
  }

  manifest::Manifest manifest(const char* kind) {
    const std::string file = "qwen3vl-1m-" + std::string(kind) + "-" + to_string(options_.image);
    auto m = manifest::load_manifest(options_.output / (file + ".json"));
    EXPECT_TRUE(m.ok()) << m.status();
    return std::move(m).value();
  }

  TestFolder folder_{"bundle-"};
  ForgeOptions options_;
};

class BundleOf : public Bundle, public ::testing::WithParamInterface<TestCheckpoint> {};

TEST_P(BundleOf, IsCompleteAndReadsBack) {
  make_checkpoint(GetParam(), options_.checkpoint);
  options_.image = {96, 64};
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(folder_.names(), ElementsAre("bundle", "hf"));
  EXPECT_THAT(names_in(options_.output),
              ElementsAre("embed_f16.bin", "forge.json", "llm_shared_96x64.bin", "lmhead_wqo.bin",
                          "qwen3vl-1m-text-96x64.json", "qwen3vl-1m-vlm-96x64.json",
                          "tokenizer.json", "vis_native_96x64.bin", "vis_patch_embed_bias_f32.bin",
                          "vis_patch_embed_f32.bin", "vis_pos_embed_f32.bin"));

  const manifest::Manifest vlm = manifest("vlm"), text = manifest("text");
  EXPECT_EQ(vlm.model.family, "vlm");
  EXPECT_EQ(text.model.family, "llm");
  EXPECT_EQ(vlm.model.dsp_arch, "cpu");
  EXPECT_FALSE(vlm.model.qnn_build.empty());
  EXPECT_EQ(vlm.params.n_heads, GetParam().heads);
  EXPECT_EQ(vlm.params.n_kv_heads, GetParam().kv_heads);
  EXPECT_EQ(vlm.params.max_ctx, 64u);
  EXPECT_EQ(vlm.params.rope_theta, 5e6);
  EXPECT_THAT(vlm.params.eos_token_id, ElementsAre(302));
  EXPECT_EQ(vlm.params.image_token_id, 305);
  ASSERT_TRUE(vlm.vision.has_value());
  EXPECT_FALSE(text.vision.has_value());
  EXPECT_EQ(vlm.vision->tokens(), 6u);
  EXPECT_EQ(vlm.plan.prefill, "prefill_8");
  EXPECT_GT(vlm.plan.call_cost, 0u);
  EXPECT_GT(vlm.plan.decode_tail, 0u);
  EXPECT_EQ(vlm.kv.layout, "head_major");
  EXPECT_EQ(vlm.kv.dtype, "f16");
  EXPECT_EQ(vlm.chat.vision_pad, "<|image_pad|>");
  EXPECT_EQ(vlm.sampling.temperature, 0.0f);
  EXPECT_EQ(vlm.artifacts.files.size(), 8u);
  EXPECT_EQ(text.artifacts.files.size(), 4u);
  for (const auto& [file, record] : vlm.artifacts.files) {
    EXPECT_EQ(record.bytes, fs::file_size(options_.output / file)) << file;
    EXPECT_EQ(record.sha256, *sha256_hex_of_file(options_.output / file)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Checkpoints, BundleOf,
    ::testing::Values(
        TestCheckpoint{},
        TestCheckpoint{.tied = false, .dtype = DType::kF32, .shards = 3, .deepstack = {1}},
        TestCheckpoint{.dtype = DType::kF16, .heads = 3, .kv_heads = 1, .deepstack = {}},
        TestCheckpoint{.tied = false,
                       .shards = 2,
                       .heads = 2,
                       .kv_heads = 2,
                       .deepstack = {3, 0, 1},
                       .new_rope_spelling = true}));

TEST_F(Bundle, EmbeddingIsF16WithAChecksumForEachBlock) {
  // 10000 rows of 128 bytes: one block and a part of another.
  make_checkpoint({.vocab = 10000}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const auto table = MappedFile::open(options_.output / "embed_f16.bin");
  const auto checkpoint = hf::Checkpoint::open(options_.checkpoint);
  const auto tensor = checkpoint->find("model.language_model.embed_tokens.weight");
  const std::vector<float> values = *hf::read_f32(*tensor);
  ASSERT_EQ(table->size(), values.size() * 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, table->bytes().data() + i * 2, 2);
    ASSERT_EQ(half, f32_to_f16(values[i])) << i;
  }
  const manifest::FileRecord record = manifest("text").artifacts.files.at("embed_f16.bin");
  ASSERT_EQ(record.block_bytes, 1u << 20);
  ASSERT_EQ(record.block_xxh3.size(), 2u);
  EXPECT_EQ(record.block_xxh3[0], xxh3_64(table->bytes().first(1 << 20)));
  EXPECT_EQ(record.block_xxh3[1], xxh3_64(table->bytes().subspan(1 << 20)));
}

TEST_F(Bundle, SameInputGivesSameBytes) {
  make_checkpoint({}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const manifest::Manifest first = manifest("vlm");
  options_.force = true;
  options_.threads = 1;
  ASSERT_TRUE(forge_bundle(options_).ok());
  for (const auto& [file, record] : manifest("vlm").artifacts.files)
    EXPECT_EQ(record.sha256, first.artifacts.files.at(file).sha256) << file;
}

TEST_F(Bundle, F16WeightsTakeTwiceTheRoom) {
  make_checkpoint({.hidden = 256, .ffn = 512}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const auto w8 = fs::file_size(options_.output / "llm_shared_64.bin");
  options_.force = true;
  options_.weights = WeightFormat::kF16;
  ASSERT_TRUE(forge_bundle(options_).ok());
  EXPECT_GT(fs::file_size(options_.output / "llm_shared_64.bin"), w8 + w8 / 2);
}

TEST_F(Bundle, FourBitWeightsTakeHalfTheRoom) {
  make_checkpoint({.hidden = 256, .ffn = 512}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const auto size = [&](const char* file) { return fs::file_size(options_.output / file); };
  const auto text = size("llm_shared_64.bin"), vision = size("vis_native_64.bin");
  options_.force = true;
  options_.weights = WeightFormat::kW4;
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_LT(size("llm_shared_64.bin"), text * 3 / 4);
  EXPECT_EQ(size("vis_native_64.bin"), vision) << "keeps int8";
  auto record = nlohmann::json::parse(*read_file(options_.output / "forge.json"));
  EXPECT_EQ(record["options"]["weights"], "w4");
  EXPECT_EQ(record["options"]["rounding"], "compensated");
  EXPECT_FALSE(fs::exists(options_.output / kRoundedFile)) << "only on demand";
  for (const auto& [tensor, errors] : record["rounding"]["errors"].items())
    EXPECT_LT(errors["compensated"].get<double>(), errors["nearest"].get<double>()) << tensor;
  const auto quality = nlohmann::json::parse(*read_file(options_.output / kQualityFile));
  EXPECT_EQ(quality, nlohmann::json(report->quality));
  EXPECT_LT(quality["shipped"]["kl_mean"].get<double>(),
            quality["nearest"]["kl_mean"].get<double>());
  EXPECT_EQ(quality["text_bytes"], record["rounding"]["text_bytes"]);
  EXPECT_GT(quality["positions"].get<int>(), 100);
  const auto rounded = sha256_hex_of_file(options_.output / "llm_shared_64.bin");
  options_.rounding = Rounding::kNearest;
  ASSERT_TRUE(forge_bundle(options_).ok());
  record = nlohmann::json::parse(*read_file(options_.output / "forge.json"));
  EXPECT_EQ(record["options"]["rounding"], "nearest");
  EXPECT_FALSE(record.contains("rounding"));
  EXPECT_FALSE(fs::exists(options_.output / kQualityFile));
  EXPECT_EQ(size("llm_shared_64.bin"), fs::file_size(options_.output / "llm_shared_64.bin"));
  EXPECT_NE(*sha256_hex_of_file(options_.output / "llm_shared_64.bin"), *rounded);
}

TEST_F(Bundle, AnyWeightsAreTriedOnDemand) {
  make_checkpoint({}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  EXPECT_FALSE(fs::exists(options_.output / kQualityFile));
  options_.force = true;
  options_.try_weights = true;
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto quality = nlohmann::json::parse(*read_file(options_.output / kQualityFile));
  EXPECT_EQ(quality["bits_per_weight"], 8);
  EXPECT_GT(quality["shipped"]["kl_mean"].get<double>(), 0);
  EXPECT_FALSE(quality.contains("nearest")) << "those are the bundle's";
}

TEST_F(Bundle, ABudgetMixesFormats) {
  make_checkpoint({.hidden = 256, .ffn = 512}, options_.checkpoint);
  options_.weights = WeightFormat::kW4;
  options_.budget = parse_budget("6bits").value();
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto record = nlohmann::json::parse(*read_file(options_.output / "forge.json"));
  EXPECT_EQ(record["options"]["weights"], "auto");
  EXPECT_LE(record["rounding"]["bits_per_weight"].get<double>(), 6);
  EXPECT_GT(record["rounding"]["bits_per_weight"].get<double>(), 5.5);
  std::map<std::string, int> formats;
  for (const auto& [tensor, format] : record["rounding"]["formats"].items())
    ++formats[format.get<std::string>()];
  EXPECT_THAT(formats, ::testing::UnorderedElementsAre(::testing::Key("w4"), ::testing::Key("w8")));
  const double files = static_cast<double>(fs::file_size(options_.output / "llm_shared_64.bin") +
                                           fs::file_size(options_.output / "lmhead_wqo.bin"));
  EXPECT_NEAR(files, record["rounding"]["text_bytes"].get<double>(), 0.2 * files);
  options_.force = true;
  options_.budget = WeightBudget{.bytes = 1000};
  EXPECT_THAT(forge_bundle(options_).status().message(), HasSubstr("--budget: allows"));
}

TEST_F(Bundle, RoundedWeightsAreKeptOnDemand) {
  make_checkpoint({}, options_.checkpoint);
  options_.weights = WeightFormat::kW4;
  options_.keep_rounded = true;
  options_.try_weights = false;
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(fs::exists(options_.output / kRoundedFile));
  EXPECT_FALSE(fs::exists(options_.output / kQualityFile));
  EXPECT_EQ(report->stages.front().name, "rounding weights");
}

TEST_F(Bundle, AnInt8CacheHasScales) {
  make_checkpoint({}, options_.checkpoint);
  options_.kv = KvFormat::kInt8;
  ASSERT_TRUE(forge_bundle(options_).ok());
  EXPECT_EQ(manifest("vlm").kv.dtype, "i8");
  const auto system = std::move(qnn::SystemLibrary::open(options_.system_library)).value();
  const auto file = MappedFile::open(options_.output / "llm_shared_64.bin");
  ASSERT_TRUE(file.ok());
  const auto binary = qnn::read_binary_info(*system, file->bytes());
  ASSERT_TRUE(binary.ok()) << binary.status();
  for (const qnn::GraphInfo& graph : binary->graphs) {
    for (const char* kind : {"k", "v"}) {
      const std::string name = kind, scale = name + "_scale_2";
      ASSERT_NE(graph.input("past_" + scale), nullptr) << graph.name;
      ASSERT_NE(graph.output("new_" + scale), nullptr) << graph.name;
      EXPECT_EQ(graph.input("past_" + name + "_2")->type, QNN_DATATYPE_INT_8);
      EXPECT_EQ(graph.output("new_" + name + "_2")->type, QNN_DATATYPE_INT_8);
      EXPECT_EQ(graph.input("past_" + scale)->type, QNN_DATATYPE_FLOAT_32);
      EXPECT_THAT(graph.input("past_" + scale)->dims, ElementsAre(2, 64, 1));
    }
  }
}

TEST_F(Bundle, BothTextGraphsShareTheirWeights) {
  make_checkpoint({.hidden = 256, .ffn = 1024}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  // Linears of a layer: q, o: 256 x 128; k, v: 256 x 64; gate, up, down: 256 x 1024.
  const std::uintmax_t weights = 3 * (2 * 256 * 128 + 2 * 256 * 64 + 3 * 256 * 1024);
  EXPECT_LT(fs::file_size(options_.output / "llm_shared_64.bin"), weights * 3 / 2);
}

TEST_F(Bundle, SeveralContextsAndCallsShareTheirWeights) {
  make_checkpoint({.hidden = 256, .ffn = 1024}, options_.checkpoint);
  options_.name = "qwen3vl-1m";
  ASSERT_TRUE(forge_bundle(options_).ok());
  const std::uintmax_t two_graphs = fs::file_size(options_.output / "llm_shared_64.bin");
  options_.force = true;
  options_.context_rows = {32, 64, 128};
  options_.prefill_rows = {8, 16};
  ASSERT_TRUE(forge_bundle(options_).ok());
  EXPECT_LT(fs::file_size(options_.output / "llm_shared_64.bin"), two_graphs + two_graphs / 10);
  const manifest::Manifest m = manifest("vlm");
  EXPECT_EQ(m.params.max_ctx, 128u);
  EXPECT_EQ(m.plan.prefill, "prefill_16_c128");
  EXPECT_EQ(m.plan.decode, "decode_1_c128");
  EXPECT_THAT(m.plan.graphs, UnorderedElementsAre("prefill_8_c32", "prefill_16_c32", "decode_1_c32",
                                                  "prefill_8_c64", "prefill_16_c64", "decode_1_c64",
                                                  "prefill_8_c128"));
}

TEST_F(Bundle, CheckFindsWhatWasChanged) {
  make_checkpoint({}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const auto system = qnn::SystemLibrary::open(options_.system_library);
  const fs::path file = options_.output / "qwen3vl-1m-vlm-64.json";
  EXPECT_TRUE(check_bundle(file, **system).ok());
  const auto original = nlohmann::json::parse(*read_file(file));
  const auto expect = [&](const char* text, const std::function<void(nlohmann::json&)>& edit) {
    auto changed = original;
    edit(changed);
    ASSERT_TRUE(write_file(file, changed.dump()).ok());
    const Status status = check_bundle(file, **system);
    EXPECT_THAT(status.message(), HasSubstr(text)) << status;
  };
  expect("mask: expected [8, 73], found [8, 72]", [](auto& m) { m["params"]["max_ctx"] = 65; });
  expect("graph prefill_9", [](auto& m) { m["plan"]["params"]["prefill"] = "prefill_9"; });
  expect("graph decode_2", [](auto& m) { m["plan"]["params"]["graphs"] = {"decode_2"}; });
  expect("expected 1 bytes", [](auto& m) { m["artifacts"]["contexts"]["llm"]["bytes"] = 1; });
  expect("patches: expected [32, 64]", [](auto& m) { m["vision"]["image"] = {128, 64}; });
  expect("made by build", [](auto& m) { m["model"]["qnn_build"] = "v9"; });
  expect("artifacts.contexts.lmhead: missing",
         [](auto& m) { m["artifacts"]["contexts"].erase("lmhead"); });
}

TEST_F(Bundle, BadOptionsAreRefusedBeforeAnythingIsMade) {
  make_checkpoint({}, options_.checkpoint);
  options_.image = {64, 65};
  expect_failure(StatusCode::kInvalidArgument, "--image");
  options_.image = {512, 512};
  expect_failure(StatusCode::kInvalidArgument, "takes 256 tokens");
  options_.image = {64, 64};
  options_.qnn_library = "/nowhere/libQnn.so";
  expect_failure(StatusCode::kNotFound, "/nowhere/libQnn.so");
}

TEST_F(Bundle, ContradictionsOfTheCheckpointAreNamed) {
  make_checkpoint({}, options_.checkpoint);
  edit_config([](auto& c) { c["text_config"]["num_hidden_layers"] = 4; });
  expect_failure(StatusCode::kNotFound, "layers.3.");
  edit_config([](auto& c) {
    c["text_config"]["num_hidden_layers"] = 3;
    c["text_config"]["intermediate_size"] = 97;
  });
  expect_failure(StatusCode::kCorrupt, "mlp.gate_proj.weight");
  edit_config([](auto& c) {
    c["text_config"]["intermediate_size"] = 96;
    c["image_token_id"] = 17;
  });
  expect_failure(StatusCode::kNotFound, "17");
  edit_config([](auto& c) { c["image_token_id"] = 305; });
  fs::remove(options_.checkpoint / "tokenizer.json");
  expect_failure(StatusCode::kNotFound, "tokenizer.json");
  fs::remove(options_.checkpoint / "model.safetensors");
  expect_failure(StatusCode::kNotFound, "tokenizer.json");
}

TEST_F(Bundle, ANotANumberInTheMiddleLeavesNothing) {
  make_checkpoint({}, options_.checkpoint);
  const std::string name = "model.language_model.layers.1.mlp.up_proj.weight";
  std::size_t offset = 0;
  {
    const auto file = MappedFile::open(options_.checkpoint / "model.safetensors");
    const auto checkpoint = hf::Checkpoint::open(options_.checkpoint);
    const auto header = hf::parse_safetensors(file->bytes());
    offset = header->data_offset + header->tensors.at(name).begin;
  }
  std::FILE* file = std::fopen((options_.checkpoint / "model.safetensors").c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  const std::uint16_t nan = 0x7FC0;
  std::fseek(file, static_cast<long>(offset + 10), SEEK_SET);
  std::fwrite(&nan, 2, 1, file);
  std::fclose(file);
  expect_failure(StatusCode::kCorrupt, "up_proj.weight: element 5 is");
}

TEST_F(Bundle, ExistingOutputIsRefusedOrReplacedOnSuccessOnly) {
  make_checkpoint({}, options_.checkpoint);
  ASSERT_TRUE(forge_bundle(options_).ok());
  const std::string before = *read_file(options_.output / "forge.json");
  EXPECT_THAT(forge_bundle(options_).status().message(), HasSubstr("--force"));
  options_.force = true;
  const std::atomic<bool> stop = true;
  EXPECT_EQ(forge_bundle(options_, {}, &stop).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(*read_file(options_.output / "forge.json"), before);
  EXPECT_THAT(folder_.names(), ElementsAre("bundle", "hf"));
}

TEST_F(Bundle, StoppingAnywhereLeavesNothing) {
  make_checkpoint({}, options_.checkpoint);
  for (const double at : {0.01, 0.2, 0.5, 0.7, 0.9}) {
    std::atomic<bool> stop = false;
    double seen = 0;
    const auto report = forge_bundle(
        options_,
        [&](double fraction, std::string_view) {
          seen = std::max(seen, fraction);
          if (fraction >= at) stop = true;
        },
        &stop);
    EXPECT_EQ(report.status().code(), StatusCode::kCancelled) << at;
    EXPECT_LT(seen, 1.0) << at;
    expect_nothing_left();
  }
}

// The same graphs for a device, each context in a worker process.
class DeviceBundle : public Bundle {
 protected:
  void SetUp() override {
    const char *folder = std::getenv("QHX_HTP_LIB_DIR"), *program = std::getenv("QHX_PROGRAM");
    if (folder == nullptr || *folder == '\0') GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
    if (program == nullptr) GTEST_SKIP() << "QHX_PROGRAM is not set";
    Bundle::SetUp();
    if (IsSkipped()) return;
    make_checkpoint({}, options_.checkpoint);
    options_.target = *parse_target("v79");
    options_.worker_program = program;
    options_.qnn_library = std::string(folder) + "/libQnnHtp.so";
    options_.system_library = std::string(folder) + "/libQnnSystem.so";
  }
};

TEST_F(DeviceBundle, IsMadeForTheChip) {
  options_.emulation_twin = true;
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  const manifest::Manifest m = manifest("vlm");
  EXPECT_EQ(m.model.soc_model, 69u);
  EXPECT_EQ(m.model.dsp_arch, "v79");
  EXPECT_THAT(m.model.qnn_build, ::testing::StartsWith("v2."));
  ASSERT_TRUE(m.artifacts.emulation.contains("llm"));
  // One set of weights against one a graph.
  EXPECT_LT(m.artifacts.files.at(m.artifacts.contexts.at("llm")).bytes,
            m.artifacts.files.at(m.artifacts.emulation.at("llm")).bytes);
}

TEST_F(DeviceBundle, IsTakenUpAgainWhereItWasBrokenOff) {
  std::atomic<bool> stop = false;
  const auto broken_off = forge_bundle(
      options_, [&](double, std::string_view stage) { stop = stage == "lm-head"; }, &stop);
  EXPECT_EQ(broken_off.status().code(), StatusCode::kCancelled);
  const fs::path partial = options_.output.string() + ".partial";
  const BundleNames names("", options_);
  ASSERT_TRUE(fs::exists(partial / names.vision));
  EXPECT_FALSE(fs::exists(options_.output));
  const auto made = fs::last_write_time(partial / names.vision);
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(fs::last_write_time(options_.output / names.vision), made) << "was made again";
  EXPECT_FALSE(fs::exists(partial));
}

TEST_F(DeviceBundle, GoesOnAfterItWasKilled) {
  const fs::path partial = options_.output.string() + ".partial";
  const BundleNames names("", options_);
  const pid_t forge = ::fork();
  if (forge == 0) {
    ::execl(options_.worker_program.c_str(), "qhx", "forge", options_.checkpoint.c_str(), "-o",
            options_.output.c_str(), "--target", "v79", "--image", "64", "--ctx", "64", "--prefill",
            "8", "--qnn-lib", options_.qnn_library.c_str(), "-q", nullptr);
    ::_exit(127);
  }
  while (!fs::exists(partial / names.vision) && ::waitpid(forge, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(forge, SIGKILL);
  ::waitpid(forge, nullptr, 0);
  ASSERT_FALSE(fs::exists(options_.output)) << "was done before it was killed";
  ASSERT_TRUE(fs::exists(partial / names.vision));
  const auto made = fs::last_write_time(partial / names.vision);
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(fs::last_write_time(options_.output / names.vision), made) << "was made again";
  EXPECT_THAT(folder_.names(), ElementsAre("bundle", "hf"));
}

TEST_F(DeviceBundle, RecordsActivationRanges) {
  options_.measure = false;
  const auto unmeasured = forge_bundle(options_);
  ASSERT_TRUE(unmeasured.ok()) << unmeasured.status();
  EXPECT_THAT(unmeasured->warnings, ElementsAre(HasSubstr("--no-calibrate")));
  options_.measure = options_.force = true;
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->warnings, ::testing::IsEmpty());
  const auto record = nlohmann::json::parse(*read_file(options_.output / "forge.json"));
  EXPECT_THAT(record["activations"]["inputs"].get<std::string>(), HasSubstr("1 picture"));
  EXPECT_GT(record["activations"]["tensors"]["image_embeds"]["max"].get<double>(), 0);
}

TEST_F(DeviceBundle, ItsGraphsAreSeenComputing) {
  options_.prove = true;
  options_.judge_library = std::getenv("QHX_CPU_LIB");
  const auto report = forge_bundle(options_);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto record = nlohmann::json::parse(*read_file(options_.output / "forge.json"));
  const BundleNames names("", options_);
  for (const auto& [file, graph] : {std::pair(names.vision, "vision"),
                                    {names.llm, "prefill_8"},
                                    {names.llm, "decode_1"},
                                    {names.lmhead, "lmhead"}}) {
    EXPECT_GE(record["proofs"][file][graph]["cosine"].get<double>(), 0.9999) << graph;
  }
}

TEST_F(DeviceBundle, AWorkerThatTakesTooMuchMemoryIsAnError) {
  options_.memory_limit = 1'000'000;
  EXPECT_THAT(forge_bundle(options_).status().message(), HasSubstr("more memory than allowed"));
  EXPECT_FALSE(fs::exists(options_.output));
}

}  // namespace
}  // namespace qhx::forge
