// The program `qhx profile` from outside. QHX_PROGRAM is the program under test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/file.h"
#include "forge/bundle/test_checkpoint.h"
#include "profile/report.h"

namespace qhx {
namespace {

using ::testing::HasSubstr;

class QhxProfile : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("QHX_PROGRAM");
    if (program == nullptr) GTEST_SKIP() << "QHX_PROGRAM is not set";
    const char* runner = std::getenv("QHX_RUNNER");
    command_ = (runner == nullptr ? "" : std::string(runner) + " ") + program + " profile ";
  }

  // The exit code. Arguments are this file's own words and need no quotes.
  int run(const std::string& arguments) {
    const auto out = folder_.path() / "out", err = folder_.path() / "err";
    const int status =
        std::system((command_ + arguments + " > " + out.string() + " 2> " + err.string()).c_str());
    out_ = *read_file(out);
    err_ = *read_file(err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string folder() const { return folder_.path().string(); }

  // A report of one graph that takes so long.
  std::string report_file(const char* name, double us) {
    profile::Report report;
    report.model = "m";
    report.graphs.resize(1);
    report.graphs[0].graph = "decode_1";
    report.graphs[0].target = "v79";
    report.graphs[0].us = us;
    const std::string file = (folder_.path() / name).string();
    EXPECT_TRUE(write_file(file, profile::print_json(report).dump()).ok());
    return file;
  }

  forge::TestFolder folder_{"qhx-profile-"};
  std::string command_, out_, err_;
};

TEST_F(QhxProfile, ABundleIsRefusedAndToldWhatIsNeeded) {
  ASSERT_TRUE(write_file(folder_.path() / "forge.json", "{}").ok());
  EXPECT_EQ(run(folder()), 6);
  EXPECT_THAT(err_, HasSubstr("is a bundle"));
  EXPECT_THAT(err_, HasSubstr("Hugging Face folder"));
  EXPECT_EQ(out_, "");
}

TEST_F(QhxProfile, BadCommandLinesAreRefused) {
  ASSERT_TRUE(write_file(folder_.path() / "config.json", "{}").ok());
  for (const std::string bad : {"", "--bogus", "--preset toaster", "--stage toaster", "--corner 10",
                                "--corner 0", "--weights w3", "--context x", "--diff one"}) {
    EXPECT_EQ(run((bad.empty() ? "" : folder() + " ") + bad), 2) << bad;
    EXPECT_THAT(err_, ::testing::StartsWith("qhx: error: ")) << bad;
  }
  EXPECT_EQ(run("/nonexistent"), 3);
}

TEST_F(QhxProfile, ComparesTwoReports) {
  const std::string before = report_file("a.json", 2000), after = report_file("b.json", 1500);
  EXPECT_EQ(run("--diff " + before + " " + after), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("-25.0 %"));
  EXPECT_EQ(run("--diff " + before + " /nonexistent"), 3);
  ASSERT_TRUE(write_file(folder_.path() / "c.json", "{}").ok());
  EXPECT_EQ(run("--diff " + before + " " + folder() + "/c.json"), 5);
  EXPECT_THAT(err_, HasSubstr("c.json: is no report"));
}

}  // namespace
}  // namespace qhx
