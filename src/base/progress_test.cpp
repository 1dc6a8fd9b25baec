#include "base/progress.h"

#include <gtest/gtest.h>

namespace qhx {
namespace {

using namespace std::chrono_literals;

TEST(Progress, SaysHowMuchIsLeft) {
  EXPECT_EQ(progress_text(0.25, "text", 20s), "[ 25%] text, 1:00 left");
  EXPECT_EQ(progress_text(0.5, "text", 7384s), "[ 50%] text, 2:03:04 left");
}

TEST(Progress, GivesNoTimeThatNobodyCanKnow) {
  EXPECT_EQ(progress_text(0.0, "text", 20s), "[  0%] text");
  EXPECT_EQ(progress_text(0.5, "text", 0s), "[ 50%] text");
  EXPECT_EQ(progress_text(1.0, "done", 20s), "[100%] done");
  EXPECT_EQ(progress_text(1.5, "done", 20s), "[100%] done");
}

TEST(Progress, IsSparseInAFile) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    ProgressLine line(file);
    for (int i = 0; i < 1000; ++i) line.update(i / 1000.0, "text");
  }
  EXPECT_EQ(std::ftell(file), static_cast<long>(std::string("[  0%] text\n").size()));
  std::fclose(file);
}

}  // namespace
}  // namespace qhx
