#include "machine_limits/limits.h"

#include <gtest/gtest.h>

#include <atomic>
namespace qhx::bench {
namespace {

TEST(Limits, EveryPeakOfThisMachineRunsAndCounts) {
  int supported = 0;
  for (const Peak& peak : all_peaks()) {
    if (!peak.supported()) continue;
    ++supported;
    EXPECT_GT(peak.run(1), 0) << peak.isa << " " << peak.what;
    EXPECT_EQ(peak.run(1000), 1000 * peak.run(1)) << peak.isa << " " << peak.what;
    const Samples rates = measure_peak(peak, 1, 2, 0.001);
    ASSERT_EQ(rates.values.size(), 2u);
    EXPECT_GT(rates.min(), 0);
  }
  EXPECT_GT(supported, 0);
}

TEST(Limits, ReadsMemoryOnSeveralThreads) {
  const Samples rates = measure_read(std::size_t{4} << 20, Pages::kSmall, 2, 3);
  ASSERT_EQ(rates.values.size(), 3u);
  EXPECT_GT(rates.min(), 0);
}

TEST(Limits, ThreadsRunTogetherEachOnce) {
  std::atomic<int> runs[3] = {};
  EXPECT_GE(run_together(3, [&](int t) { ++runs[t]; }), 0);
  for (const auto& r : runs) EXPECT_EQ(r, 1);
}

}  // namespace
}  // namespace qhx::bench
