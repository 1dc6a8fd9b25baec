// A model rounded by what its inputs are, and the same weights in graphs and in the reference.
#include "forge/rounding/round_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "forge/arch/weights.h"
#include "forge/bundle/test_checkpoint.h"
#include "forge/quant/quantize.h"
#include "forge/quant/rounded_weights.h"
#include "reference/weights.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using quant::WeightFormat;

class RoundModel : public ::testing::Test {
 protected:
  void make(const TestCheckpoint& checkpoint) {
    make_checkpoint(checkpoint, folder_.path() / "hf");
    config_ = hf::load_config(folder_.path() / "hf").value();
    checkpoint_.emplace(hf::Checkpoint::open(folder_.path() / "hf").value());
    const std::string tokenizer = read_file(folder_.path() / "hf" / "tokenizer.json").value();
    set_ = make_calibration_set(config_, {.use = CalibrationUse::kRounding,
                                          .folder = {},
                                          .tokenizer_json = tokenizer,
                                          .before = "<|im_start|>user\n",
                                          .after = "<|im_end|>\n",
                                          .width = 64,
                                          .height = 64})
               .value();
  }

  Result<std::vector<RoundingErrors>> round(const char* file, ThreadPool& pool) {
    return round_model(*checkpoint_, config_, WeightFormat::kW4, set_, folder_.path() / file, pool,
                       [this](double fraction) {
                         EXPECT_GE(fraction, done_);
                         done_ = fraction;
                         return fraction >= stop_at_ ? cancelled("stopped") : Status();
                       });
  }

  TestFolder folder_{"round-model-"};
  ThreadPool pool_{3};
  hf::ModelConfig config_;
  std::optional<hf::Checkpoint> checkpoint_;
  CalibrationSet set_;
  double done_ = 0, stop_at_ = 2;
};

TEST_F(RoundModel, OutputsOfAllMatricesComeNearer) {
  make({});
  const auto errors = round("w4.safetensors", pool_);
  ASSERT_TRUE(errors.ok()) << errors.status();
  EXPECT_EQ(done_, 1.0);
  EXPECT_EQ(errors->size(), 7 * config_.text.n_layers + 1);
  const auto weights = quant::RoundedWeights::open(folder_.path() / "w4.safetensors");
  ASSERT_TRUE(weights.ok()) << weights.status();
  for (const RoundingErrors& each : *errors) {
    EXPECT_TRUE((*weights)->contains(each.tensor)) << each.tensor;
    EXPECT_GT(each.compensated, 0) << each.tensor;
    EXPECT_LT(each.compensated, each.nearest) << each.tensor;
    EXPECT_LT(each.int8, each.nearest / 4) << each.tensor;
  }
}

TEST_F(RoundModel, ThreadsDoNotChangeTheResult) {
  make({.tied = false});
  ThreadPool one(1);
  ASSERT_TRUE(round("a", pool_).ok());
  done_ = 0;
  ASSERT_TRUE(round("b", one).ok());
  EXPECT_EQ(*read_file(folder_.path() / "a"), *read_file(folder_.path() / "b"));
}

TEST_F(RoundModel, RowsThatAreNoGroupsAreLeftOut) {
  make({.ffn = 72});
  const auto errors = round("w4", pool_);
  ASSERT_TRUE(errors.ok()) << errors.status();
  EXPECT_EQ(errors->size(), 6 * config_.text.n_layers + 1) << "all but down_proj";
}

TEST_F(RoundModel, StoppedItLeavesNoFile) {
  make({});
  stop_at_ = 0.5;
  EXPECT_EQ(round("w4", pool_).status().code(), StatusCode::kCancelled);
  EXPECT_THAT(folder_.names(), ::testing::ElementsAre("hf"));
}

TEST_F(RoundModel, GraphsAndReferenceTakeTheSameWeights) {
  make({});
  ASSERT_TRUE(round("w4", pool_).ok());
  quant::WeightPlan plan = WeightFormat::kW4;
  plan.use(quant::RoundedWeights::open(folder_.path() / "w4").value());
  const std::string linear = "model.language_model.layers.1.mlp.up_proj";
  const WeightLoader loader(*checkpoint_, plan, QNN_DATATYPE_FLOAT_32, pool_,
                            [](std::size_t) { return Status(); });
  const auto loaded = loader.linear(linear);
  const auto judged = reference::WeightReader(*checkpoint_, plan).rounded(linear + ".weight");
  ASSERT_TRUE(loaded.ok() && judged.ok()) << loaded.status() << judged.status();
  const auto nearest =
      reference::WeightReader(*checkpoint_, WeightFormat::kW4).rounded(linear + ".weight");
  EXPECT_NE(judged->values, nearest->values);
  const auto q = loaded->weight.bytes.as<std::int8_t>();
  const std::size_t groups = judged->columns / 32;
  for (std::size_t o = 0; o < judged->rows; ++o) {
    for (std::size_t i = 0; i < judged->columns; ++i) {
      ASSERT_EQ(judged->row(o)[i], static_cast<float>(q[i * judged->rows + o]) *
                                       loaded->weight.scales[o * groups + i / 32]);
    }
  }
  // A power of two moves to the scales.
  const auto scaled = loader.linear(linear, {}, 3);
  ASSERT_TRUE(scaled.ok()) << scaled.status();
  for (std::size_t i = 0; i < scaled->weight.scales.size(); ++i)
    ASSERT_EQ(scaled->weight.scales[i], 8 * loaded->weight.scales[i]);
}

}  // namespace
}  // namespace qhx::forge
