#include "forge/ranges/choose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "forge/ranges/record.h"
#include "forge/ranges/stages.h"

namespace qhx::forge {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

hf::ModelConfig make_config() {
  hf::ModelConfig config;
  config.vision.depth = 2;
  config.vision.deepstack_layers = {0};
  config.text.n_layers = 2;
  return config;
}

// Every activation of the model, all values 1.
RangeTable ordinary(const hf::ModelConfig& config) {
  RangeTable ranges;
  const float one = 1;
  for (const MeasuredStage& stage : measured_stages(config))
    ranges[stage.name].add(std::span(&one, 1));
  return ranges;
}

void reach(RangeTable& ranges, const char* name, float value) {
  ASSERT_TRUE(ranges.contains(name)) << name;
  ranges[name].add(std::span(&value, 1));
}

TEST(NeededExponent, LeavesTheMarginAndNoMore) {
  EXPECT_EQ(needed_exponent(0), 0);
  EXPECT_EQ(needed_exponent(kLargestHalf / kSafetyMargin), 0);
  EXPECT_EQ(needed_exponent(std::nextafter(kLargestHalf / kSafetyMargin, 1e9f)), 1);
  EXPECT_EQ(needed_exponent(kLargestHalf / kSafetyMargin * 4), 2);
  EXPECT_EQ(needed_exponent(1e6f), 7);
}

TEST(ChooseScales, OrdinaryModelsStayAsTheyAre) {
  const hf::ModelConfig config = make_config();
  const RangeTable ranges = ordinary(config);
  const ScalePlan plan = choose_scales(config, ranges);
  EXPECT_TRUE(plan.identity());
  EXPECT_THAT(range_warnings(config, ranges, plan), IsEmpty());
  EXPECT_TRUE(choose_scales(config, {}).identity());
}

TEST(ChooseScales, AResidualStreamTakesWhatItsLargestMemberNeeds) {
  const hf::ModelConfig config = make_config();
  RangeTable ranges = ordinary(config);
  reach(ranges, "block_fc2_01", 20000);
  reach(ranges, "block_mid_00", -40000);
  const ScalePlan plan = choose_scales(config, ranges);
  EXPECT_EQ(plan.vision_residual, 3);
  EXPECT_THAT(plan.vision_attention, ElementsAre(3, 3)) << "so that no matrix gets smaller";
  EXPECT_EQ(plan.text_residual, 0);
  EXPECT_FALSE(plan.identity());
  EXPECT_THAT(range_warnings(config, ranges, plan), IsEmpty());
}

TEST(ChooseScales, EachLayerTakesItsOwn) {
  const hf::ModelConfig config = make_config();
  RangeTable ranges = ordinary(config);
  reach(ranges, "layer_sum_00", 10000);       // residual: 1
  reach(ranges, "layer_product_01", 200000);  // 5
  reach(ranges, "layer_v_00", 30000);         // 2
  reach(ranges, "layer_k_01", 10000);         // 1
  reach(ranges, "layer_scores_01", 1e6f);     // 7, of which k takes 1
  reach(ranges, "deepstack_00", 9000);        // 1
  reach(ranges, "block_scores_01", 60000);    // 3: 2 for each of q and k
  const ScalePlan plan = choose_scales(config, ranges);
  EXPECT_EQ(plan.text_residual, 1);
  ASSERT_EQ(plan.text.size(), 2u);
  EXPECT_EQ(plan.text[0], (TextScales{.attention = 2, .q = 0, .k = 0, .mlp = 1}));
  EXPECT_EQ(plan.text[1], (TextScales{.attention = 1, .q = 6, .k = 1, .mlp = 5}));
  EXPECT_THAT(plan.deepstack, ElementsAre(1));
  EXPECT_THAT(plan.vision_attention, ElementsAre(0, 2));
  EXPECT_THAT(range_warnings(config, ranges, plan), IsEmpty());

  RangeReport report{"1 picture", ranges, plan, {}};
  const nlohmann::ordered_json record = range_record(config, report);
  EXPECT_EQ(record["scaled"]["layer_product_01"], 5);
  EXPECT_EQ(record["scaled"]["layer_scores_01"], 7);
  EXPECT_FALSE(record["scaled"].contains("layer_gate_01"));
  EXPECT_EQ(record["tensors"]["layer_product_01"]["max"], 200000);
  EXPECT_EQ(record["inputs"], "1 picture");
}

TEST(RangeRecord, APlanComesBackAsItWas) {
  ScalePlan plan;
  plan.vision_residual = 3;
  plan.vision_attention = {3, 4};
  plan.deepstack = {1};
  plan.text_residual = 2;
  plan.text = {{.attention = 2, .q = 1, .k = 0, .mlp = 5}, {}};
  const auto text = print_plan(plan).dump();
  const ScalePlan back = parse_plan(nlohmann::json::parse(text));
  EXPECT_EQ(back, plan);
  EXPECT_EQ(parse_plan(nlohmann::json::parse(print_plan({}).dump())), ScalePlan{});
  EXPECT_THROW(parse_plan(nlohmann::json::parse("{}")), nlohmann::json::exception);
}

TEST(RangeWarnings, NameWhatCannotBeMended) {
  const hf::ModelConfig config = make_config();
  RangeTable ranges = ordinary(config);
  reach(ranges, "block_fc1_01", 70000);
  reach(ranges, "layer_gate_00", 9000);
  reach(ranges, "logits", INFINITY);
  const auto warnings = range_warnings(config, ranges, choose_scales(config, ranges));
  EXPECT_THAT(
      warnings,
      ElementsAre(AllOf(HasSubstr("model.visual.blocks.1.mlp.linear_fc1, output (block_fc1_01): "
                                  "reaches 7e+04, beyond the largest 16-bit float")),
                  AllOf(HasSubstr("model.language_model.layers.0.mlp.gate_proj"),
                        HasSubstr("reaches 9e+03, near the largest")),
                  AllOf(HasSubstr("lm_head"), HasSubstr("not finite in 32-bit floats"))));
}

TEST(RangeWarnings, SayWhereSmallValuesLosePrecision) {
  const hf::ModelConfig config = make_config();
  RangeTable ranges = ordinary(config);
  Range& residual = ranges["layer_out_01"];
  residual = {};
  const float values[] = {1e5f, 5e-4f, 5e-4f, 5e-4f};  // an outlier channel
  residual.add(values);
  const ScalePlan plan = choose_scales(config, ranges);
  ASSERT_EQ(plan.text_residual, 4);
  EXPECT_THAT(range_warnings(config, ranges, plan),
              ElementsAre(AllOf(HasSubstr("model.language_model.layers.1, output (layer_out_01)"),
                                HasSubstr("75 % of them lose precision"))));
}

TEST(RangeWarnings, ManyOfAKindAreCounted) {
  hf::ModelConfig config = make_config();
  config.text.n_layers = 9;
  RangeTable ranges = ordinary(config);
  for (int i = 0; i < 9; ++i) reach(ranges, ("layer_gate_0" + std::to_string(i)).c_str(), 1e5f);
  const auto warnings = range_warnings(config, ranges, choose_scales(config, ranges));
  EXPECT_EQ(warnings.size(), 4u);
  EXPECT_THAT(warnings, Contains("6 more of \"layer_gate, overflow\""));
}

}  // namespace
}  // namespace qhx::forge
