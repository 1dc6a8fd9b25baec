// The program `qhx forge` from outside: exit codes, what it prints where, and that a killed run
// leaves no bundle. QHX_PROGRAM is the program under test.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class QhxForge : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("QHX_PROGRAM");
    if (program == nullptr) GTEST_SKIP() << "QHX_PROGRAM is not set";
    program_ = program;
  }

  // Starts the program with stdout and stderr in files.
  pid_t start(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {program_};
    // An emulator where the program is of another architecture than this machine.
    if (const char* runner = std::getenv("QHX_RUNNER"); runner != nullptr && *runner != '\0')
      words.insert(words.begin(), runner);
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = (logs_.path() / "out").string(), err = (logs_.path() / "err").string();
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }

  // The exit code, or minus the signal that ended it.
  int finish(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    out_ = *read_file(logs_.path() / "out");
    err_ = *read_file(logs_.path() / "err");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int run(const std::vector<std::string>& arguments) { return finish(start(arguments)); }

  std::vector<std::string> forge(std::vector<std::string> more) {
    std::vector<std::string> words = {"forge",   (folder_.path() / "hf").string(),
                                      "-o",      (folder_.path() / "bundle").string(),
                                      "--image", "64"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // Runs until work has begun, sends `signal`, and returns what became of it.
  int interrupt(int signal) {
    const pid_t child = start(forge({}));
    while (folder_.names().size() < 2) {
      if (::waitpid(child, nullptr, WNOHANG) != 0) return 1000;  // ended before it began
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ::kill(child, signal);
    return finish(child);
  }

  forge::TestFolder folder_{"qhx-forge-"}, logs_{"qhx-forge-logs-"};
  std::string program_, out_, err_;
};

TEST_F(QhxForge, HelpAndVersionSucceed) {
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_THAT(out_, ::testing::MatchesRegex("qhx [0-9.]+\n"));
  EXPECT_EQ(run({"forge", "--help"}), 0);
  for (const char* flag : {"--target", "--weights", "--image", "--ctx", "--prefill", "--output",
                           "--force", "--json", "--qnn-lib", "qwen3vl-<n>b"})
    EXPECT_THAT(out_, HasSubstr(flag));
}

TEST_F(QhxForge, BadCommandLinesAreRefusedWithOneLine) {
  const std::vector<std::vector<std::string>> bad = {
      {},
      {"forgery"},
      {"forge"},
      forge({"--bogus"}),
      forge({"--ctx", "many"}),
      forge({"--ctx", "-5"}),
      forge({"--ctx", "0"}),
      forge({"--threads", "0"}),
      forge({"--weights", "w3"}),
      forge({"--image", "64x"}),
      forge({"--target", "toaster"}),
  };
  for (const auto& arguments : bad) {
    const std::string last = arguments.empty() ? "" : arguments.back();
    EXPECT_EQ(run(arguments), 2) << last;
    EXPECT_THAT(err_, ::testing::StartsWith("qhx: error: ")) << last;
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_EQ(out_, "") << last;
  }
  EXPECT_EQ(run(forge({"--target", "v79"})), 6);
  EXPECT_THAT(err_, HasSubstr("not supported by this build"));
  EXPECT_EQ(run(forge({})), 3) << "no such checkpoint";
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(QhxForge, MakesABundleAndPrintsWhatItIs) {
  forge::make_checkpoint({}, folder_.path() / "hf");
  ASSERT_EQ(run(forge({"--json", "--name", "mine"})), 0) << err_;
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["model"], "mine");
  EXPECT_EQ(json["manifests"], (nlohmann::json{"mine-vlm-64.json", "mine-text-64.json"}));
  EXPECT_TRUE(fs::exists(folder_.path() / "bundle" / "mine-vlm-64.json"));
  EXPECT_THAT(err_, HasSubstr("[  0%]"));
  EXPECT_EQ(run(forge({})), 2);
  EXPECT_THAT(err_, HasSubstr("exists already"));
  EXPECT_EQ(run(forge({"--force", "--quiet"})), 0);
  EXPECT_EQ(err_, "");
}

// Large enough to be in the middle of the work for most of a second.
const forge::TestCheckpoint kLarger{.hidden = 512, .ffn = 2048, .layers = 8, .vocab = 8192};

TEST_F(QhxForge, SignalsLeaveNothingBehind) {
  forge::make_checkpoint(kLarger, folder_.path() / "hf");
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(interrupt(signal), 9) << ::strsignal(signal);
    EXPECT_THAT(err_, HasSubstr("stopped on request"));
    EXPECT_THAT(folder_.names(), ElementsAre("hf"));
  }
}

TEST_F(QhxForge, KilledRunLeavesNoBundle) {
  forge::make_checkpoint(kLarger, folder_.path() / "hf");
  EXPECT_EQ(interrupt(SIGKILL), -SIGKILL);
  EXPECT_FALSE(fs::exists(folder_.path() / "bundle"));
  EXPECT_EQ(run(forge({"--quiet"})), 0) << "and does not stand in the way of the next one";
}

}  // namespace
}  // namespace qhx
