#include "forge/quant/weight_plan.h"

#include <gtest/gtest.h>

namespace qhx::quant {
namespace {

constexpr const char* kQuery = "model.language_model.layers.3.self_attn.q_proj.weight";
constexpr const char* kVision = "model.visual.blocks.0.attn.qkv.weight";

TEST(WeightPlan, FourBitsAreForGroupsOfTheText) {
  const WeightPlan plan = WeightFormat::kW4;
  EXPECT_EQ(plan.of(kQuery, 64), WeightFormat::kW4);
  EXPECT_EQ(plan.of("lm_head.weight", 32), WeightFormat::kW4);
  EXPECT_EQ(plan.of(kQuery, 48), WeightFormat::kW8) << "48 is one group and a half";
  EXPECT_EQ(plan.of(kQuery, 16), WeightFormat::kW8);
  EXPECT_EQ(plan.of(kVision, 64), WeightFormat::kW8);
}

TEST(WeightPlan, OtherFormatsAreForAll) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kW8}) {
    const WeightPlan plan = format;
    EXPECT_EQ(plan.of(kVision, 48), format);
    EXPECT_EQ(plan.of(kQuery, 64), format);
    EXPECT_EQ(parse_format(name(format)), format);
  }
  EXPECT_FALSE(parse_format("w5").has_value());
}

TEST(WeightPlan, ATensorMayHaveAFormatOfItsOwn) {
  WeightPlan plan = WeightFormat::kW8;
  plan.set(kQuery, WeightFormat::kW4);
  EXPECT_EQ(plan.of(kQuery, 64), WeightFormat::kW4);
  EXPECT_EQ(plan.of(kQuery, 65), WeightFormat::kW8) << "groups must fit here too";
  EXPECT_EQ(plan.of("lm_head.weight", 64), WeightFormat::kW8);
}

TEST(WeightPlan, BitsCountTheScalesOfGroups) {
  EXPECT_EQ(bits_per_weight(WeightFormat::kW4), 4.5);
  EXPECT_EQ(bits_per_weight(WeightFormat::kW8), 8);
}

}  // namespace
}  // namespace qhx::quant
