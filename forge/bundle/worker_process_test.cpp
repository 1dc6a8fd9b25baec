#include "forge/bundle/worker_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace qhx::forge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Result<std::uint64_t> shell(
    const std::string& script, const WorkerLimits& limits = {},
    const OnAdvance& on_advance = [](double) { return Status(); }) {
  return run_worker({"/bin/sh", "-c", script}, limits, on_advance);
}

TEST(WorkerProcessTest, ReportsArriveInOrderAndItsPeakComesBack) {
  double sum = 0;
  auto peak = shell(R"(echo '{"advance":2.5}' >&3; echo noise; echo '{"advance":4}' >&3
                       echo '{"done":12345}' >&3)",
                    {}, [&](double amount) {
                      sum = sum * 10 + amount;
                      return Status();
                    });
  ASSERT_TRUE(peak.ok()) << peak.status();
  EXPECT_EQ(*peak, 12345u);
  EXPECT_GT(sum, 0);
}

TEST(WorkerProcessTest, ItsOwnErrorComesBackAsItWas) {
  const Status status =
      shell(R"(echo '{"error":5,"message":"weights: cut short"}' >&3; exit 1)").status();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_EQ(status.message(), "weights: cut short");
}

TEST(WorkerProcessTest, ACrashIsAnErrorWithItsLastWords) {
  const Status status = shell("echo in the middle of it >&2; kill -SEGV $$").status();
  EXPECT_EQ(status.code(), StatusCode::kBackend);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("crashed"), HasSubstr("in the middle of it")));
}

TEST(WorkerProcessTest, AnEndWithoutAResultIsAnError) {
  EXPECT_THAT(shell("exit 7").status().message(), HasSubstr("exit code 7"));
  EXPECT_THAT(
      run_worker({"/no/such/program"}, {}, [](double) { return Status(); }).status().message(),
      HasSubstr("exit code 127"));
}

TEST(WorkerProcessTest, ASilentWorkerIsEnded) {
  const Status status =
      shell("sleep 600", {.memory_bytes = 0, .silence = std::chrono::seconds(1)}).status();
  EXPECT_EQ(status.code(), StatusCode::kBackend);
  EXPECT_THAT(status.message(), HasSubstr("1 seconds"));
}

TEST(WorkerProcessTest, AHungryWorkerIsEnded) {
  const Status status = shell("sleep 600", {.memory_bytes = 4096, .silence = {}}).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_THAT(status.message(), HasSubstr("more memory than allowed"));
}

TEST(WorkerProcessTest, AStopEndsIt) {
  int looks = 0;
  const Status status = shell("sleep 600", {}, [&](double) {
                          return ++looks > 2 ? cancelled("stopped on request") : Status();
                        }).status();
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
}

TEST(WorkerProcessTest, ReportsArePrintedAndParsedAlike) {
  const WorkerReport error{.kind = WorkerReport::Kind::kError,
                           .error = out_of_range("a \"quoted\" line\nand another")};
  const auto back = parse_report(print_report(error));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->error.code(), error.error.code());
  EXPECT_EQ(back->error.message(), error.error.message());
  for (const char* junk : {"", "{}", "[1]", "{\"advance\":\"x\"}", "{\"error\":1}"})
    EXPECT_FALSE(parse_report(junk).ok()) << junk;
}

}  // namespace
}  // namespace qhx::forge
