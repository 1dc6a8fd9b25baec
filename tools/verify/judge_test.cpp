// Figures, samples, and what counts as a fault.
#include "verify/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qhx::verify {
namespace {

std::vector<float> wave(std::size_t count, float phase) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = std::sin(0.1f * static_cast<float>(i) + phase);
  return values;
}

Trace trace_of(std::vector<float> logits) {
  Trace trace;
  trace.steps.push_back(best_of(logits));
  trace.stages.push_back({"logits_000", std::move(logits)});
  return trace;
}

TEST(Compare, KnownFigures) {
  const std::vector<float> e = {3, 4}, f = {4, 3};
  EXPECT_NEAR(compare(e, f).cosine, 24.0 / 25.0, 1e-12);
  EXPECT_EQ(compare(e, f).max_error, 1.0);
  EXPECT_EQ(compare(e, e).max_error, 0.0);
  EXPECT_NEAR(compare(e, e).cosine, 1.0, 1e-12);
}

TEST(Compare, ZerosAndWhatIsNoNumber) {
  const std::vector<float> zero = {0, 0}, one = {1, 0};
  const std::vector<float> nan = {std::nanf(""), 1};
  const std::vector<float> infinite = {std::numeric_limits<float>::infinity(), 1};
  EXPECT_EQ(compare(zero, zero).cosine, 1.0);
  EXPECT_EQ(compare(one, zero).cosine, 0.0);
  EXPECT_TRUE(std::isnan(compare(one, nan).cosine));
  EXPECT_TRUE(std::isnan(compare(zero, infinite).cosine));
  const Judge judge = make_judge("x", {0.5, std::nullopt, false}, trace_of({1, 0}));
  EXPECT_FALSE(judge_trace(judge, trace_of({std::nanf(""), 1})).ok());
}

TEST(Sample, IsSpreadAndHasNoPeriod) {
  EXPECT_THAT(sample_places(3), ::testing::ElementsAre(0u, 1u, 2u));
  const std::size_t columns = 64, count = kSample * columns;
  const auto places = sample_places(count);
  ASSERT_EQ(places.size(), kSample);
  std::vector<int> hits(columns);
  for (std::size_t k = 0; k < places.size(); ++k) {
    EXPECT_EQ(places[k] / columns, k);
    ++hits[places[k] % columns];
  }
  for (const int n : hits) EXPECT_NEAR(n, kSample / columns, 96);
}

TEST(Best, FallsWithTheLowestIdFirst) {
  const Best best = best_of(std::vector<float>{1, 5, std::nanf(""), 5});
  EXPECT_THAT(best, ::testing::ElementsAre(std::pair(1, 5.0f), std::pair(3, 5.0f),
                                           std::pair(0, 1.0f), ::testing::Pair(2, ::testing::_)));
}

TEST(Judge, CosineBelowItsThresholdFails) {
  Trace expected, found;
  expected.stages.push_back({"image_embeds", wave(1000, 0)});
  found.stages.push_back({"image_embeds", wave(1000, 0.02f)});  // about cos 0.02 = 0.9998
  const auto verdict = [&](double vision) {
    return judge_trace(make_judge("x", {vision, std::nullopt, true}, expected), found);
  };
  EXPECT_TRUE(verdict(0.999).ok());
  EXPECT_FALSE(verdict(0.9999).ok());
}

TEST(Judge, TokensDifferOnlyBeyondBlur) {
  const auto row = [](float second, bool greedy) {
    const Judge judge =
        make_judge("x", {std::nullopt, std::nullopt, greedy}, trace_of({10.0f, second, 0.0f}));
    return judge_trace(judge, trace_of({9.0f, 9.5f, 0.0f})).rows.at(0);
  };
  // Blur of logits of 10 is 10 / 256.
  EXPECT_EQ(row(9.97f, true).greedy, Greedy::kBlur);
  EXPECT_TRUE(row(9.97f, true).ok);
  EXPECT_EQ(row(9.95f, true).greedy, Greedy::kDifferent);
  EXPECT_FALSE(row(9.95f, true).ok);
  EXPECT_TRUE(row(9.95f, false).ok);
}

TEST(Judge, FactorOfDeepstackFeaturesIsTakenBack) {
  Trace expected, found;
  for (const char* name : {"deepstack_0", "image_embeds"}) {
    expected.stages.push_back({name, wave(100, 0)});
    found.stages.push_back({name, wave(100, 0)});
    for (float& x : found.stages.back().values) x /= 8;
  }
  const Verdict verdict = judge_trace(make_judge("x", {}, expected), found);
  EXPECT_EQ(verdict.rows[0].figures.max_error, 0.0);
  EXPECT_GT(verdict.rows[1].figures.max_error, 0.5);
}

TEST(Judge, StagesOfOneSideFail) {
  Trace both = trace_of({1, 2}), more = trace_of({1, 2});
  more.stages.push_back({"hidden_001", {1}});
  EXPECT_TRUE(judge_trace(make_judge("x", {}, both), both).ok());
  EXPECT_FALSE(judge_trace(make_judge("x", {}, both), more).ok());
  EXPECT_FALSE(judge_trace(make_judge("x", {}, more), both).ok());
  Trace embedded = trace_of({1, 2});
  embedded.stages.push_back({"vision_in", {1}});
  EXPECT_TRUE(judge_trace(make_judge("x", {}, embedded), both).ok());
  EXPECT_FALSE(judge_trace(make_judge("x", {}, trace_of({1, 2, 3})), both).ok());
}

}  // namespace
}  // namespace qhx::verify
