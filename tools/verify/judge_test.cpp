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

TEST(Compare, NoiseIsWhatScalingDoesNotExplain) {
  const std::vector<float> e = {3, 4}, twice = {6, 8}, across = {3 + 0.4f, 4 - 0.3f};
  EXPECT_NEAR(compare(e, twice).noise, 0, 1e-7);
  // An error of length 0.5 at right angles: 0.5 / sqrt(2), but for the cosine's own square.
  EXPECT_NEAR(compare(e, across).noise, 0.5 / std::sqrt(2.0), 0.002);
}

// Logits of many ids; of the likeliest, 0 has 10 and 1 has 10 - gap.
std::vector<float> two_best(float gap) {
  std::vector<float> logits = wave(1000, 0);
  logits[0] = 10;
  logits[1] = 10 - gap;
  return logits;
}

// The row of logits whose two best have changed places, with an error of `noise` everywhere else.
Row swapped(float gap, float noise, bool greedy = true) {
  std::vector<float> found = two_best(gap);
  std::swap(found[0], found[1]);
  for (std::size_t i = 2; i < found.size(); ++i) found[i] += i % 2 == 0 ? noise : -noise;
  const Judge judge =
      make_judge("x", {std::nullopt, std::nullopt, greedy}, trace_of(two_best(gap)));
  return judge_trace(judge, trace_of(std::move(found))).rows.at(0);
}

TEST(Judge, TokensMayChangePlacesWithinTheNoiseOfTheirStep) {
  // Blur is 3 sqrt(2) times the noise and 10 / 1024.
  EXPECT_EQ(swapped(0.0095f, 0).greedy, Greedy::kBlur);
  EXPECT_EQ(swapped(0.0150f, 0).greedy, Greedy::kDifferent);
  EXPECT_EQ(swapped(0.0480f, 0.01f).greedy, Greedy::kBlur);
  EXPECT_TRUE(swapped(0.0480f, 0.01f).ok);
  EXPECT_EQ(swapped(0.0560f, 0.01f).greedy, Greedy::kDifferent);
  EXPECT_FALSE(swapped(0.0560f, 0.01f).ok);
  EXPECT_TRUE(swapped(0.0560f, 0.01f, false).ok);
  EXPECT_NEAR(swapped(0.0480f, 0.01f).gap, 0.048, 1e-6);
}

TEST(Judge, OneWrongLogitDoesNotExcuseItself) {
  std::vector<float> found = two_best(0.2f);
  found[1] = 10.1f;
  const Judge judge = make_judge("x", {}, trace_of(two_best(0.2f)));
  EXPECT_EQ(judge_trace(judge, trace_of(std::move(found))).rows.at(0).greedy, Greedy::kDifferent);
}

TEST(Judge, TokensThatAreNotAmongTheBestOfTheJudgeAreDifferent) {
  const std::vector<float> flat(100, 1.0f);  // no gap between any two
  std::vector<float> found = flat;
  found[50] += 1e-6f;
  const Judge judge = make_judge("x", {}, trace_of(flat));
  EXPECT_EQ(judge_trace(judge, trace_of(std::move(found))).rows.at(0).greedy, Greedy::kDifferent);
}

TEST(Judge, EqualTokensTellHowFarTheSecondIs) {
  const Judge judge = make_judge("x", {}, trace_of(two_best(0.25f)));
  const Row row = judge_trace(judge, trace_of(two_best(0.25f))).rows.at(0);
  EXPECT_EQ(row.greedy, Greedy::kEqual);
  EXPECT_EQ(row.gap, 0.25);
}

TEST(Judge, FactorOfDeepstackFeaturesIsTakenBack) {
  Trace expected, found;
  for (const char* name : {"deepstack_0", "image_embeds"}) {
    expected.stages.push_back({name, wave(100, 0)});
    found.stages.push_back({name, wave(100, 0)});
    for (float& x : found.stages.back().values) x /= 8;
  }
  const Verdict verdict = judge_trace(make_judge("x", {}, expected), found);
  EXPECT_EQ(verdict.rows[0].figures->max_error, 0.0);
  EXPECT_GT(verdict.rows[1].figures->max_error, 0.5);
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
  const Verdict shorter = judge_trace(make_judge("x", {}, trace_of({1, 2, 3})), both);
  EXPECT_FALSE(shorter.ok());
  EXPECT_FALSE(shorter.rows.at(0).figures.has_value());
}

}  // namespace
}  // namespace qhx::verify
