#include "forge/ranges/choose_integers.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "forge/ranges/choose.h"
#include "forge/ranges/record.h"
#include "forge/ranges/stages.h"

namespace qhx::forge {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

hf::ModelConfig config() {
  hf::ModelConfig config;
  config.vision.depth = 2;
  config.text.n_layers = 3;
  return config;
}

Range normal_values(float massive = 0) {
  std::mt19937 random(7);
  std::normal_distribution<float> values(0, 2);
  std::vector<float> some(100000);
  for (float& value : some) value = values(random);
  if (massive != 0) some[0] = massive;
  Range range;
  range.add(some);
  return range;
}

RangeTable all_normal() {
  RangeTable ranges;
  for (const MeasuredStage& stage : measured_stages(config())) ranges[stage.name] = normal_values();
  return ranges;
}

TEST(RoundingNoise, IsThatOfStepsThatReachTheMarginTimesTheLargest) {
  const Range range = normal_values();
  const double step = 2.0 * kSafetyMargin * range.largest() / 65535;
  const double expected = step * step / 12 / (range.rms() * range.rms());
  EXPECT_NEAR(rounding_noise(range), expected, expected * 1e-6);
}

TEST(RoundingNoise, MassiveValuesTakeTheStepsOfTheOthers) {
  EXPECT_GT(rounding_noise(normal_values(2000)), 1000 * rounding_noise(normal_values()));
}

TEST(RoundingNoise, NothingBearsItWithoutValues) {
  Range zeros;
  zeros.add(std::vector<float>(8));
  EXPECT_TRUE(std::isinf(rounding_noise(zeros)));
  Range damaged = normal_values();
  damaged.add(std::vector<float>{NAN});
  EXPECT_TRUE(std::isinf(rounding_noise(damaged)));
}

TEST(ChooseIntegers, TakesThemWhereAllBearThem) {
  const IntegerChoice choice = choose_integers(config(), all_normal(), {});
  EXPECT_THAT(choice.kept, IsEmpty());
  ASSERT_EQ(choice.plan.vision_mlp.size(), 2U);
  ASSERT_EQ(choice.plan.text_mlp.size(), 3U);
  ASSERT_EQ(choice.plan.text_o.size(), 3U);
  EXPECT_FLOAT_EQ(choice.plan.text_mlp[2].product, normal_values().largest() * kSafetyMargin);
}

TEST(ChooseIntegers, LeavesAPartInFloatsForOneActivationOfIt) {
  RangeTable ranges = all_normal();
  ranges["layer_product_01"] = normal_values(8000);
  ranges["layer_up_01"] = normal_values(2000);
  const IntegerChoice choice = choose_integers(config(), ranges, {});
  EXPECT_TRUE(reach_of(choice.plan.text_mlp, 0).has_value());
  EXPECT_FALSE(reach_of(choice.plan.text_mlp, 1).has_value());
  EXPECT_TRUE(reach_of(choice.plan.text_mlp, 2).has_value());
  EXPECT_TRUE(reach_of(choice.plan.text_o, 1).has_value());
  ASSERT_EQ(choice.kept.size(), 1U);
  EXPECT_THAT(choice.kept[0], HasSubstr("layers.1.mlp.down_proj, input (layer_product_01)"));
}

TEST(ChooseIntegers, LeavesWhatWasNotMeasured) {
  RangeTable ranges = all_normal();
  ranges.erase("layer_o_00");
  EXPECT_FALSE(reach_of(choose_integers(config(), ranges, {}).plan.text_o, 0).has_value());
}

TEST(ChooseIntegers, ReachesAreOfScaledValues) {
  ScalePlan scales;
  scales.text_residual = 3;
  scales.text = {{.mlp = 2}};
  const IntegerPlan plan = choose_integers(config(), all_normal(), scales).plan;
  const float reach = normal_values().largest() * kSafetyMargin;
  EXPECT_FLOAT_EQ(plan.text_mlp[0].in, reach / 4);
  EXPECT_FLOAT_EQ(plan.text_mlp[0].gate, reach);
  EXPECT_FLOAT_EQ(plan.text_mlp[0].out, reach / 8);
}

TEST(ChooseIntegers, PlansPassThroughText) {
  RangeTable ranges = all_normal();
  ranges["block_gelu_00"] = normal_values(5000);
  ScalePlan plan;
  plan.integers = choose_integers(config(), ranges, plan).plan;
  EXPECT_EQ(parse_plan(nlohmann::json::parse(print_plan(plan).dump())), plan);
}

}  // namespace
}  // namespace qhx::forge
