// Which graphs a prompt is run through.
#include "runtime/prompt_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace qhx::runtime {
namespace {

using testing::HasSubstr;
using Rows = std::vector<std::size_t>;

// A decode graph for each context, and a prefill graph for each pair of context and rows.
TextSpec spec_of(const Rows& contexts, const Rows& calls) {
  TextSpec spec;
  spec.context = contexts.back();
  for (const std::size_t context : contexts) {
    for (const std::size_t rows : calls) spec.graphs.push_back({Role::kPrefill, 0, rows, context});
    spec.graphs.push_back({Role::kDecode, 0, 1, context});
  }
  return spec;
}

// Without a past: prefill for the first tokens only.
TextSpec blind(std::size_t rows) {
  TextSpec spec = spec_of({1000}, {});
  spec.graphs.insert(spec.graphs.begin(), {Role::kPrefill, 0, rows, 0});
  return spec;
}

PromptPlan plan(const TextSpec& spec, std::size_t tokens, std::size_t common = 0,
                std::size_t images_end = 0) {
  const auto plan = plan_prompt(spec, tokens, common, images_end);
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::size_t at = plan->start;
  for (const Chunk& chunk : plan->chunks) {
    EXPECT_EQ(chunk.first, at);
    EXPECT_LE(chunk.count, spec.graphs[chunk.graph].rows);
    EXPECT_LE(at, spec.graphs[chunk.graph].context);
    at += chunk.count;
  }
  EXPECT_EQ(at, tokens);
  return *plan;
}

Rows rows_of(const TextSpec& spec, const PromptPlan& plan) {
  Rows rows;
  for (const Chunk& chunk : plan.chunks) rows.push_back(spec.graphs[chunk.graph].rows);
  return rows;
}
Rows contexts_of(const TextSpec& spec, const PromptPlan& plan) {
  Rows contexts;
  for (const Chunk& chunk : plan.chunks) contexts.push_back(spec.graphs[chunk.graph].context);
  return contexts;
}

TEST(PlanPrompt, ShortCallsWhereALongOneWouldBeMostlyPadding) {
  const TextSpec spec = spec_of({2048}, {32, 320});
  const auto rows = [&](std::size_t tokens) { return rows_of(spec, plan(spec, tokens)); };
  EXPECT_EQ(rows(1), (Rows{32}));
  EXPECT_EQ(rows(33), (Rows{32, 32}));
  EXPECT_EQ(rows(300), (Rows{320}));
  EXPECT_EQ(rows(320), (Rows{320}));
  EXPECT_EQ(rows(640), (Rows{320, 320}));
  Rows found = rows(330);
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (Rows{32, 320}));
}

TEST(PlanPrompt, TheCostOfACallDecides) {
  TextSpec spec = spec_of({2048}, {16, 64, 320});
  spec.call_cost = 8;
  EXPECT_EQ(rows_of(spec, plan(spec, 200)).size(), 4u);  // 3 x 64 + 16
  spec.call_cost = 100;
  EXPECT_EQ(rows_of(spec, plan(spec, 200)), (Rows{320}));
}

TEST(PlanPrompt, NoOtherCutIsCheaper) {
  const Rows calls = {3, 8, 40};
  const TextSpec spec = spec_of({500}, calls);
  const auto cost = [](const Rows& rows) {
    std::size_t sum = 0;
    for (const std::size_t r : rows) sum += r + 20;
    return sum;
  };
  for (std::size_t tokens = 1; tokens < 130; ++tokens) {
    std::size_t least = 10000;
    for (std::size_t a = 0; a <= 43; ++a) {
      for (std::size_t b = 0; b <= 17; ++b) {
        for (std::size_t c = 0; c <= 4; ++c) {
          if (3 * a + 8 * b + 40 * c >= tokens) least = std::min(least, 23 * a + 28 * b + 60 * c);
        }
      }
    }
    EXPECT_EQ(cost(rows_of(spec, plan(spec, tokens))), least) << tokens;
  }
}

TEST(PlanPrompt, TakesTheSmallestContextThatHoldsWhatIsCached) {
  const TextSpec spec = spec_of({10, 20, 40}, {8});
  EXPECT_EQ(contexts_of(spec, plan(spec, 40)), (Rows{10, 10, 20, 40, 40}));
  EXPECT_EQ(contexts_of(spec, plan(spec, 18, 10)), (Rows{10}));
  EXPECT_EQ(contexts_of(spec, plan(spec, 18, 11)), (Rows{20}));
}

TEST(PlanPrompt, TheTailGoesThroughDecode) {
  TextSpec spec = spec_of({40}, {8});
  spec.decode_tail = 4;
  EXPECT_EQ(rows_of(spec, plan(spec, 11)), (Rows{8, 1, 1, 1}));
  EXPECT_EQ(rows_of(spec, plan(spec, 4)), (Rows{1, 1, 1, 1}));
  EXPECT_EQ(rows_of(spec, plan(spec, 5)), (Rows{8}));
  EXPECT_EQ(rows_of(spec, plan(spec, 9, 8)), (Rows{1}));
  EXPECT_EQ(rows_of(spec, plan(spec, 11, 0, 10)), (Rows{8, 8})) << "never a picture";
}

TEST(PlanPrompt, KeepsWhatIsCachedButRunsTheLastToken) {
  for (const std::size_t tail : {0u, 4u, 300u}) {
    TextSpec spec = spec_of({200, 1000}, {32, 320});
    spec.decode_tail = tail;
    for (const std::size_t common : {0u, 1u, 31u, 32u, 199u, 200u, 201u, 399u, 400u})
      EXPECT_EQ(plan(spec, 400, common).start, std::min<std::size_t>(common, 399));
  }
}

TEST(PlanPrompt, PrefillThatCannotSeeTheCacheMayBeginAgain) {
  const TextSpec spec = blind(32);
  EXPECT_EQ(plan(spec, 100, 95).start, 95u);
  EXPECT_EQ(plan(spec, 30, 2).start, 0u);
  EXPECT_EQ(rows_of(spec, plan(spec, 34)), (Rows{32, 1, 1}));
  // Prefill that sees a part: from where it still fits.
  TextSpec partly = spec_of({1000}, {});
  partly.graphs.insert(partly.graphs.begin(), {Role::kPrefill, 0, 100, 50});
  EXPECT_EQ(plan(partly, 140, 60).start, 50u);
  EXPECT_EQ(plan(partly, 140, 138).start, 138u);
}

TEST(PlanPrompt, PicturesNeedPrefillWhereDeepstackIs) {
  TextSpec spec = blind(8);
  EXPECT_TRUE(plan_prompt(spec, 20, 0, 9).ok());
  spec.deepstack = 3;
  const Status status = plan_prompt(spec, 20, 0, 9).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("picture reaches to token 9"));
  EXPECT_EQ(rows_of(spec, plan(spec, 10, 0, 8)), (Rows{8, 1, 1}));
  EXPECT_EQ(plan(spec, 100, 7, 8).start, 0u) << "the picture's last token needs prefill";
}

}  // namespace
}  // namespace qhx::runtime
