#include "forge/bundle/work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qhx::forge {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(Work, ReportsThePartThatIsDone) {
  std::vector<std::pair<double, std::string>> seen;
  Work work([&](double f, std::string_view stage) { seen.emplace_back(f, std::string(stage)); },
            nullptr);
  work.plan("a", 1);
  work.plan("b", 3);
  ASSERT_TRUE(work.begin_next().ok());
  ASSERT_TRUE(work.advance(0.5).ok());
  ASSERT_TRUE(work.advance(100).ok());  // an estimate may be wrong, the sum stays below 1
  ASSERT_TRUE(work.begin_next().ok());
  ASSERT_TRUE(work.advance(1).ok());
  ASSERT_TRUE(work.finish().ok());
  EXPECT_THAT(seen, ElementsAre(Pair(0.0, "a"), Pair(0.125, "a"), Pair(0.25, "a"), Pair(0.25, "b"),
                                Pair(0.5, "b"), Pair(1.0, "done")));
  ASSERT_EQ(work.times().size(), 2u);
  EXPECT_EQ(work.times()[1].name, "b");
}

TEST(Work, APeakBelongsToTheStageThatRan) {
  Work work({}, nullptr);
  for (const char* stage : {"a", "b", "c"}) work.plan(stage, 1);
  ASSERT_TRUE(work.begin_next().ok());
  ASSERT_TRUE(work.begin_next().ok());
  work.set_peak(5);
  ASSERT_TRUE(work.begin_next().ok());
  ASSERT_TRUE(work.finish().ok());
  ASSERT_EQ(work.times().size(), 3u);
  EXPECT_EQ(work.times()[0].peak_bytes, 0u);
  EXPECT_EQ(work.times()[1].peak_bytes, 5u);
  EXPECT_EQ(work.times()[2].peak_bytes, 0u);
}

TEST(Work, StopsWhenAsked) {
  std::atomic<bool> stop = false;
  Work work({}, &stop);
  work.plan("a", 1);
  ASSERT_TRUE(work.begin_next().ok());
  stop = true;
  EXPECT_EQ(work.advance(0.1).code(), StatusCode::kCancelled);
}

TEST(Work, StopsAfterItsLastStepToo) {
  std::atomic<bool> stop = false;
  double seen = 0;
  Work work(
      [&](double fraction, std::string_view) {
        seen = fraction;
        if (fraction > 0.9) stop = true;
      },
      &stop);
  work.plan("a", 1);
  ASSERT_TRUE(work.begin_next().ok());
  ASSERT_TRUE(work.advance(1).ok());
  EXPECT_LT(seen, 1.0);
  EXPECT_EQ(work.finish().code(), StatusCode::kCancelled);
  EXPECT_LT(seen, 1.0);
}

}  // namespace
}  // namespace qhx::forge
