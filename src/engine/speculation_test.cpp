#include "engine/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace qhx::engine {
namespace {

using runtime::Role;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::int32_t> guess(const std::vector<std::int32_t>& history) {
  const auto found = guess_next(history);
  return {found.begin(), found.end()};
}

TEST(GuessNext, IsWhatFollowedTheLongestMatch) {
  EXPECT_THAT(guess({}), IsEmpty());
  EXPECT_THAT(guess({1}), IsEmpty());
  EXPECT_THAT(guess({1, 1}), IsEmpty());
  EXPECT_THAT(guess({1, 2, 3, 4}), IsEmpty());
  EXPECT_THAT(guess({1, 2, 3, 9, 2}), IsEmpty()) << "one token is no match";
  EXPECT_THAT(guess({1, 2, 3, 9, 1, 2}), ElementsAre(3, 9, 1, 2));
  EXPECT_THAT(guess({1, 2, 3, 1, 2, 4, 1, 2}), ElementsAre(4, 1, 2)) << "the latest";
  EXPECT_THAT(guess({7, 1, 2, 3, 1, 2, 4, 7, 1, 2}), ElementsAre(3, 1, 2, 4, 7, 1, 2))
      << "the longest";
  EXPECT_THAT(guess({5, 5, 5, 5}), ElementsAre(5));
}

class SpeculationTest : public testing::Test {
 protected:
  SpeculationTest() {
    spec_.context = 100;
    spec_.call_cost = 8;
    spec_.graphs = {{Role::kDecode, 0, 1, 100},
                    {Role::kPrefill, 0, 4, 100},
                    {Role::kPrefill, 1, 16, 100},
                    {Role::kPrefill, 2, 32, 0}};
  }
  void guesses(Speculation& s, int right) {
    for (int i = 0; i < right; ++i) s.guessed(true);
  }
  runtime::TextSpec spec_;
};

TEST_F(SpeculationTest, ChecksWithGraphsThatComputeAsDecodeDoes) {
  spec_.exact_rows = 4;
  Speculation s(spec_);
  s.decoded(10);
  guesses(s, 30);
  EXPECT_EQ(s.choose(10, 20).graph, 1u);
  EXPECT_EQ(s.choose(10, 20).drafts, 3u);
  EXPECT_EQ(s.whatever_it_costs(10, 20).graph, 1u);
}

TEST_F(SpeculationTest, WaitsForAMeasurementAndForGoodGuesses) {
  Speculation s(spec_);
  guesses(s, 30);
  EXPECT_EQ(s.choose(10, 20).drafts, 0u) << "no decode step was measured";
  Speculation t(spec_);
  t.decoded(10);
  EXPECT_EQ(t.choose(10, 20).drafts, 0u) << "no guess was right yet";
  guesses(t, 30);
  EXPECT_EQ(t.choose(10, 20).drafts, 15u);
  EXPECT_EQ(t.choose(10, 20).graph, 2u);
  EXPECT_EQ(t.choose(10, 3).graph, 1u) << "the short one is enough";
  EXPECT_EQ(t.choose(10, 0).drafts, 0u);
  for (int i = 0; i < 8; ++i) t.guessed(false);
  EXPECT_EQ(t.choose(10, 20).drafts, 0u);
}

TEST_F(SpeculationTest, MeasuredTimesReplaceTheManifests) {
  Speculation s(spec_);
  s.decoded(10);
  guesses(s, 30);
  s.checked(2, 190, 16);  // 16 tokens at the price of 19
  s.checked(1, 12, 4);
  EXPECT_EQ(s.choose(10, 20).graph, 1u);
  s.checked(1, 60, 4);
  s.checked(1, 60, 4);
  EXPECT_EQ(s.choose(10, 20).drafts, 0u);
}

TEST_F(SpeculationTest, KeepsWithinTheContext) {
  Speculation s(spec_);
  s.decoded(10);
  guesses(s, 30);
  EXPECT_EQ(s.choose(90, 20).drafts, 9u);
  EXPECT_EQ(s.choose(99, 20).drafts, 0u);
  EXPECT_EQ(s.whatever_it_costs(99, 20).drafts, 0u);
  EXPECT_EQ(s.whatever_it_costs(10, 20).drafts, 15u);
  EXPECT_EQ(s.whatever_it_costs(10, 2).graph, 1u);
  spec_.graphs = {{Role::kDecode, 0, 1, 100}, {Role::kPrefill, 0, 32, 0}};
  const Speculation blind(spec_);
  EXPECT_EQ(blind.whatever_it_costs(10, 20).drafts, 0u) << "it does not see the past";
}

// Guesses that are right while nobody relies on them and wrong as soon as somebody does.
TEST_F(SpeculationTest, TheWorstTextCostsLittle) {
  Speculation s(spec_);
  double steps = 0, tokens = 0;
  s.decoded(10);
  for (int i = 0; i < 5000; ++i) {
    const auto call = s.choose(10, 20);
    if (call.drafts == 0) {
      s.decoded(10);
      s.guessed(true);
      steps += 1;
    } else {
      const double cost = call.graph == 1 ? 1.5 : 3;
      s.checked(call.graph, 10 * cost, 1);
      s.guessed(false);
      steps += cost;
    }
    tokens += 1;
  }
  EXPECT_LE(steps, tokens * (1 + Speculation::kCreditRate) + Speculation::kFirstCredit);
}

// Right with a fixed probability: never noticeably slower, and faster where it can be.
TEST_F(SpeculationTest, FollowsWhatIsMeasured) {
  for (const double cost : {1.2, 2.0, 4.0, 8.0}) {
    for (const double right : {0.0, 0.3, 0.6, 0.9, 0.99}) {
      Speculation s(spec_);
      std::mt19937 random(7);
      std::bernoulli_distribution is_right(right);
      double steps = 0, tokens = 0;
      s.decoded(10);
      while (tokens < 20000) {
        const auto call = s.choose(10, 20);
        double spent = 1, made = 1;
        if (call.drafts == 0) {
          s.decoded(10);
          s.guessed(is_right(random));
        } else {
          spent = call.graph == 1 ? 1 + (cost - 1) / 4 : cost;
          for (std::size_t i = 0; i < call.drafts; ++i) {
            const bool hit = is_right(random);
            s.guessed(hit);
            if (!hit) break;
            made += 1;
          }
          s.checked(call.graph, 10 * spent, static_cast<std::size_t>(made));
        }
        steps += spent;
        tokens += made;
      }
      EXPECT_LE(steps, 1.025 * tokens) << cost << " " << right;
      if (right < 0.99 || cost > 4) continue;
      EXPECT_LE(steps, 0.5 * tokens) << cost;
    }
  }
}

}  // namespace
}  // namespace qhx::engine
