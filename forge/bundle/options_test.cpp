#include "forge/bundle/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forge/bundle/presets.h"
#include "forge/bundle/test_checkpoint.h"
#include "forge/bundle/text_graphs.h"
#include "random_checkpoint.h"

namespace qhx::forge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

hf::ModelConfig config_of(const nlohmann::json& json) {
  return std::move(hf::parse_config(json.dump(), "", "")).value();
}

TEST(ImageSize, IsASideOrWidthTimesHeight) {
  EXPECT_EQ(*parse_image_size("512"), (ImageSize{512, 512}));
  EXPECT_EQ(*parse_image_size("704x480"), (ImageSize{704, 480}));
  EXPECT_EQ(to_string(ImageSize{704, 480}), "704x480");
  EXPECT_EQ(to_string(ImageSize{64, 64}), "64");
  for (const char* bad : {"", "0", "x", "64x", "x64", "-64", "64x0", "64x64x64", "64 x 64", "6e2",
                          "99999999999", "16416", "512px"}) {
    EXPECT_EQ(parse_image_size(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Target, OnlyTheCpuIsSupported) {
  EXPECT_EQ(parse_target("cpu")->activation, QNN_DATATYPE_FLOAT_32);
  const auto v79 = parse_target("v79");
  ASSERT_TRUE(v79.ok()) << v79.status();
  EXPECT_TRUE(v79->device());
  EXPECT_EQ(v79->dsp_arch, 79u);
  EXPECT_EQ(v79->soc_model, 69u);
  EXPECT_THAT(parse_target("v99").status().message(), HasSubstr("v73, v75, v79 or v81"));
  EXPECT_EQ(parse_target("gpu").status().code(), StatusCode::kInvalidArgument);
}

TEST(WeightFormat, IsF16OrW8) {
  EXPECT_EQ(*parse_weight_format("f16"), WeightFormat::kF16);
  EXPECT_EQ(*parse_weight_format("w8"), WeightFormat::kW8);
  EXPECT_EQ(parse_weight_format("w3").status().code(), StatusCode::kInvalidArgument);
}

TEST(KvFormat, IsF16OrInt8) {
  EXPECT_EQ(*parse_kv_format("f16"), KvFormat::kF16);
  EXPECT_EQ(*parse_kv_format("int8"), KvFormat::kInt8);
  EXPECT_THAT(parse_kv_format("i8").status().message(), HasSubstr("--kv i8: expected f16 or int8"));
}

TEST(KvFormat, Int8IsForCpus) {
  const hf::ModelConfig config = config_of(make_config({}));
  ForgeOptions options;
  options.image = {64, 64};
  options.kv = KvFormat::kInt8;
  options.target = *parse_target("cpu");
  EXPECT_TRUE(validate(options, config).ok());
  options.target = *parse_target("v79");
  const Status refused = validate(options, config);
  EXPECT_EQ(refused.code(), StatusCode::kUnsupported);
  EXPECT_THAT(refused.message(), HasSubstr("--kv int8: the cache of target v79"));
}

TEST(Activations, AreF16OrAuto) {
  EXPECT_TRUE(*parse_activations("auto"));
  EXPECT_FALSE(*parse_activations("f16"));
  EXPECT_THAT(parse_activations("int8").status().message(),
              HasSubstr("--activations int8: expected auto or f16"));
}

TEST(Activations, IntegersAreForMeasuredOnesOfDevices) {
  const hf::ModelConfig config = config_of(make_config({}));
  ForgeOptions options;
  options.image = {64, 64};
  options.integers = true;
  options.target = *parse_target("v79");
  EXPECT_TRUE(validate(options, config).ok());
  ForgeOptions proved = options, unmeasured = options, cpu = options;
  proved.prove = true;
  EXPECT_THAT(validate(proved, config).message(), HasSubstr("prove with --activations f16"));
  unmeasured.measure = false;
  EXPECT_THAT(validate(unmeasured, config).message(), HasSubstr("--no-calibrate"));
  cpu.target = *parse_target("cpu");
  EXPECT_THAT(validate(cpu, config).message(), HasSubstr("is for Hexagon targets"));
}

TEST(Rows, AreNumbersInAnyOrderNoneTwice) {
  EXPECT_THAT(*parse_rows("--ctx", "512"), ElementsAre(512));
  EXPECT_THAT(*parse_rows("--ctx", "2048,512,1024"), ElementsAre(512, 1024, 2048));
  for (const char* bad : {"", ",", "512,", "0", "512,0", "-1", "x", "512 64", "5.5", "99999999"}) {
    const Status status = parse_rows("--ctx", bad).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(status.message(), HasSubstr("--ctx " + std::string(bad) + ": expected numbers"));
  }
  EXPECT_THAT(parse_rows("--prefill", "64,32,64").status().message(),
              HasSubstr("--prefill 64,32,64: 64 is there twice"));
}

TEST(TextGraphs, EachContextHasPrefillForEachLengthAndDecode) {
  ForgeOptions options;
  options.context_rows = {512};
  options.prefill_rows = {320};
  const TextGraphNames one = text_graph_names(options);
  EXPECT_EQ(one.prefill, "prefill_320");
  EXPECT_EQ(one.decode, "decode_1");
  EXPECT_TRUE(one.others.empty());

  options.context_rows = {512, 1024};
  options.prefill_rows = {32, 320};
  const TextGraphNames names = text_graph_names(options);
  EXPECT_EQ(names.prefill, "prefill_320_c1024");
  EXPECT_EQ(names.decode, "decode_1_c1024");
  EXPECT_THAT(names.others, UnorderedElementsAre("prefill_32_c512", "prefill_320_c512",
                                                 "decode_1_c512", "prefill_32_c1024"));
  for (const TextGraphSpec& graph : text_graphs(options, true)) {
    EXPECT_EQ(graph.deepstack, graph.rows > 1);
    EXPECT_THAT(graph.name, testing::EndsWith("_" + std::to_string(graph.rows) + "_c" +
                                              std::to_string(graph.context_rows)));
  }
}

TEST(Validate, KnowsTheLimits) {
  const hf::ModelConfig config = config_of(make_config({}));
  ForgeOptions options;
  options.image = {64, 96};  // 6 tokens
  options.context_rows = {6 + kTextRows};
  EXPECT_TRUE(validate(options, config).ok());
  EXPECT_THAT(prefill_rows(options), ElementsAre(4, 16, 6 + kTextRows))
      << "the default is cut to the context";
  options.context_rows = {6, 5 + kTextRows};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("takes 6 tokens"));
  options.context_rows = {50, 100};
  options.prefill_rows = {51, 101};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--prefill 101"));
  options.prefill_rows = {1, 51};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--prefill 1: "));
  options.prefill_rows = {51, 100};
  EXPECT_TRUE(validate(options, config).ok());
  options.prefill_rows = {};
  options.context_rows = {100, 100};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--ctx 100: expected rising numbers"));
  options.context_rows = {};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--ctx"));
  options.context_rows = {512, 262145};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("at most 262144"));
  options.context_rows = {4096};
  EXPECT_THAT(prefill_rows(options), ElementsAre(4, 16, 64, 320));
  options.target.soc_model = 69;
  EXPECT_THAT(prefill_rows(options), ElementsAre(320));
  options.target.soc_model = 0;
  options.image = {64, 80};
  EXPECT_THAT(validate(options, config).message(), HasSubstr("multiples of 32"));
  options.image = {64, 64};
  for (const char* bad : {"a/b", ".hidden", "a b", "\xC3\xA4"}) {
    options.name = bad;
    EXPECT_EQ(validate(options, config).code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Options, MeasuringIsFor16BitActivations) {
  const hf::ModelConfig config = config_of(make_config({}));
  ForgeOptions options;
  options.image = {64, 64};
  options.calibrate = "pictures";
  options.target = *parse_target("cpu");
  EXPECT_THAT(validate(options, config).message(), HasSubstr("target cpu"));
  options.target = *parse_target("v79");
  EXPECT_TRUE(validate(options, config).ok());
  options.measure = false;
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--no-calibrate"));
  options.weights = WeightFormat::kW4;
  EXPECT_TRUE(validate(options, config).ok()) << "weights are still rounded by it";
  options.target = *parse_target("cpu");
  EXPECT_TRUE(validate(options, config).ok()) << validate(options, config);
  options.rounding = Rounding::kNearest;
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--calibrate"));
  options.calibrate.clear();
  options.keep_rounded = true;
  EXPECT_THAT(validate(options, config).message(), HasSubstr("--keep-rounded"));
  EXPECT_EQ(parse_rounding("compensated").value(), Rounding::kCompensated);
  EXPECT_THAT(parse_rounding("up").status().message(), HasSubstr("expected nearest or comp"));
}

TEST(Options, BudgetsAreBytesOrBits) {
  EXPECT_EQ(parse_budget("1.2GB").value(), (WeightBudget{.bytes = 1.2e9}));
  EXPECT_EQ(parse_budget("800MB").value(), (WeightBudget{.bytes = 8e8}));
  EXPECT_EQ(parse_budget("5.0bits").value(), (WeightBudget{.bits = 5}));
  for (const WeightBudget budget : {WeightBudget{.bytes = 123456789}, WeightBudget{.bits = 5.3}})
    EXPECT_EQ(parse_budget(to_string(budget)).value(), budget);
  for (const char* bad : {"", "GB", "5", "-1GB", "0bits", "nanbits", "infGB", "5 bits", "5bits,"})
    EXPECT_THAT(parse_budget(bad).status().message(), HasSubstr("like 1.2GB")) << bad;
  ForgeOptions options;
  options.image = {64, 64};
  options.weights = WeightFormat::kW4;
  options.budget = WeightBudget{.bits = 5};
  EXPECT_EQ(weights_name(options), "auto");
  options.rounding = Rounding::kNearest;
  EXPECT_THAT(validate(options, config_of(make_config({}))).message(),
              HasSubstr("--weights auto: goes with"));
}

TEST(Validate, ATextBundleNeedsNoRoomForAPicture) {
  const hf::ModelConfig config = config_of(make_config({}));
  ForgeOptions options;
  options.pictures = false;
  options.image = {512, 512};  // 256 tokens
  options.context_rows = {kTextRows};
  EXPECT_TRUE(validate(options, config).ok());
  options.context_rows = {kTextRows - 1};
  EXPECT_THAT(validate(options, config).message(), HasSubstr(": at least 32 are needed"));
}

TEST(ModelName, ComesFromTheSize) {
  EXPECT_EQ(model_name(config_of(make_config({}))), "qwen3vl-1m");
  for (const char* size : {"2b", "4b"}) {
    EXPECT_EQ(model_name(config_of(*tools::preset_config(size))), "qwen3vl-" + std::string(size));
  }
}

TEST(ModelName, PresetHasThePublishedCheckpointsSize) {
  std::size_t count = 0;
  for (const hf::ExpectedTensor& tensor :
       hf::expected_tensors(config_of(*tools::preset_config("2b")))) {
    std::size_t elements = 1;
    for (const std::size_t extent : tensor.shape) elements *= extent;
    count += elements;
  }
  EXPECT_EQ(count, 2127532032u);
}

TEST(Presets, AreThePublishedBundles) {
  const hf::ModelConfig config = config_of(*tools::preset_config("2b"));
  for (const Preset& preset : presets()) {
    ForgeOptions options;
    ASSERT_TRUE(apply_preset(preset.name, options).ok()) << preset.name;
    EXPECT_TRUE(validate(options, config).ok()) << preset.name;
    EXPECT_TRUE(options.target.device());
  }
  ForgeOptions text;
  ASSERT_TRUE(apply_preset("v81-text", text).ok());
  EXPECT_EQ(text.target.soc_model, 87u);
  const BundleNames names(model_name(config), text);
  EXPECT_EQ(names.llm, "llm_text_dec_w8.bin");
  EXPECT_EQ(names.lmhead, "qwen3vl_lmh_w8.bin");
  EXPECT_EQ(names.embed, "qwen3vl_embed_f16.bin");
  EXPECT_EQ(names.text_manifest, "qwen3vl-2b-text-512.json");
  EXPECT_EQ(text_graphs(text, false).size(), 1u) << "decode over the prompt";
  EXPECT_THAT(apply_preset("v99", text).message(), HasSubstr("v79-vlm-512"));
}

TEST(BundleNames, FollowTheImageSize) {
  ForgeOptions options;
  options.image = {704, 480};
  const BundleNames names("m", options);
  EXPECT_EQ(names.vision, "vis_native_704x480.bin");
  EXPECT_EQ(names.llm, "llm_shared_704x480.bin");
  EXPECT_EQ(names.vlm_manifest, "m-vlm-704x480.json");
  EXPECT_EQ(names.text_manifest, "m-text-704x480.json");
}

}  // namespace
}  // namespace qhx::forge
