#include "forge/rounding/quality.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

using quant::WeightFormat;

TEST(Divergence, IsThatOfTheProbabilities) {
  const float p[] = {std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const float q[] = {std::log(0.25f) + 3, std::log(0.25f) + 3, std::log(0.5f) + 3};
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(2) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_EQ(kl_divergence(p, p), 0.0);
  const float certain[] = {1000, 0, 0};
  EXPECT_NEAR(kl_divergence(certain, p), std::log(2), 1e-6);
  EXPECT_TRUE(std::isfinite(kl_divergence(p, certain)));
}

TEST(Qualities, AreMeansOverPositions) {
  const float p[] = {1, 0}, q[] = {0, 1};
  Quality quality;
  quality.add(p, p);
  quality.add(p, q);
  EXPECT_EQ(quality.positions, 2u);
  EXPECT_EQ(quality.agreement, 0.5);
  EXPECT_EQ(quality.worst_kl, kl_divergence(p, q));
  EXPECT_NEAR(quality.mean_kl, quality.worst_kl / 2, 1e-12);
}

// More bits are nearer to the float model, which is nearest to itself.
TEST(Qualities, OrderFormats) {
  const TestFolder folder("quality-");
  make_checkpoint({}, folder.path() / "hf");
  const hf::ModelConfig config = hf::load_config(folder.path() / "hf").value();
  const hf::Checkpoint checkpoint = hf::Checkpoint::open(folder.path() / "hf").value();
  const std::string tokenizer = read_file(folder.path() / "hf" / "tokenizer.json").value();
  const CalibrationSet trial = make_calibration_set(config, {.use = CalibrationUse::kTrial,
                                                             .folder = {},
                                                             .tokenizer_json = tokenizer,
                                                             .before = "",
                                                             .after = "",
                                                             .width = 64,
                                                             .height = 64})
                                   .value();
  std::size_t words = 0;
  for (const auto& prompt : trial.prompts)
    words += prompt.tokens.size() - (prompt.picture ? 5 : 0);  // vision start, 4 image tokens
  ThreadPool pool(2);
  double done = 0;
  const quant::WeightPlan plans[] = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kW8,
                                     WeightFormat::kW4};
  const auto qualities = measure_quality(checkpoint, config, trial, plans, pool, [&](double now) {
    EXPECT_GE(now, done);
    done = now;
    return Status();
  });
  ASSERT_TRUE(qualities.ok()) << qualities.status();
  EXPECT_EQ(done, 1.0);
  ASSERT_EQ(qualities->size(), 4u);
  EXPECT_EQ(qualities->front().worst_kl, 0.0);
  EXPECT_EQ(qualities->front().agreement, 1.0);
  for (std::size_t i = 0; i < 4; ++i) {
    const Quality& quality = (*qualities)[i];
    EXPECT_EQ(quality.positions, words);
    EXPECT_GE(quality.worst_kl, quality.mean_kl);
  }
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_GT((*qualities)[i].mean_kl, (*qualities)[i - 1].mean_kl) << i;
}

}  // namespace
}  // namespace qhx::forge
