#include "forge/bundle/output_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/file.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Output : public ::testing::Test {
 protected:
  void put(const fs::path& file, std::string_view text) {
    fs::create_directories(file.parent_path());
    ASSERT_TRUE(write_file(file, text).ok());
  }
  TestFolder folder_{"output-"};
  const fs::path out_ = folder_.path() / "bundle";
};

TEST_F(Output, AppearsWithCommit) {
  auto output = OutputFolder::create(out_ / "", false);  // a trailing slash changes nothing
  ASSERT_TRUE(output.ok()) << output.status();
  put(output->path() / "a", "1");
  EXPECT_FALSE(fs::exists(out_));
  ASSERT_TRUE(output->commit().ok());
  EXPECT_THAT(folder_.names(), ElementsAre("bundle"));
  EXPECT_THAT(names_in(out_), ElementsAre("a"));
}

TEST_F(Output, IsGoneWithoutCommit) {
  {
    auto output = OutputFolder::create(out_, false);
    ASSERT_TRUE(output.ok()) << output.status();
    put(output->path() / "a", "1");
    OutputFolder moved = std::move(output).value();
    EXPECT_THAT(folder_.names(), ::testing::SizeIs(1));
  }
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_F(Output, WhatAKilledProcessLeftIsRemoved) {
  ASSERT_EXIT(
      {
        auto output = OutputFolder::create(out_, false);
        put(output->path() / "a", "1");
        ::_exit(7);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_THAT(folder_.names(), ::testing::SizeIs(1));
  auto output = OutputFolder::create(out_, false);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_THAT(names_in(output->path()), IsEmpty());
  EXPECT_THAT(folder_.names(), ::testing::SizeIs(1));
  // That of a process at work stays.
  auto beside = OutputFolder::create(out_, false);
  ASSERT_TRUE(beside.ok()) << beside.status();
  EXPECT_THAT(folder_.names(), ::testing::SizeIs(2));
}

TEST_F(Output, BrokenOffWorkIsTakenUpAgain) {
  {
    auto output = OutputFolder::resume(out_, false, "key 1");
    ASSERT_TRUE(output.ok()) << output.status();
    put(output->path() / "a", "1");
    put(output->path() / "b.tmp-XYZ123", "half");
    EXPECT_THAT(OutputFolder::resume(out_, false, "key 1").status().message(),
                HasSubstr("another process"));
  }
  auto again = OutputFolder::resume(out_, false, "key 1");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(fs::exists(again->path() / "a"));
  EXPECT_FALSE(fs::exists(again->path() / "b.tmp-XYZ123"));
  ASSERT_TRUE(again->commit().ok());
  EXPECT_THAT(folder_.names(), ElementsAre("bundle"));
  EXPECT_THAT(names_in(out_), ElementsAre("a"));
}

TEST_F(Output, OtherWorkDoesNotTakeItsFiles) {
  {
    auto output = OutputFolder::resume(out_, false, "key 1");
    ASSERT_TRUE(output.ok()) << output.status();
    put(output->path() / "a", "1");
  }
  auto other = OutputFolder::resume(out_, false, "key 2");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE(fs::exists(other->path() / "a"));
}

TEST_F(Output, RemoveUnfinishedTakesItAway) {
  ASSERT_EXIT(
      {
        auto output = OutputFolder::create(out_, false);
        put(output->path() / "a", "1");
        OutputFolder::remove_unfinished();
        ::_exit(7);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_F(Output, ExistingFolderIsRefused) {
  put(out_ / "forge.json", "old");
  EXPECT_THAT(OutputFolder::create(out_, false).status().message(), HasSubstr("--force"));
  fs::remove_all(out_);
  fs::create_symlink("nowhere", out_);
  EXPECT_EQ(check_output(out_, false).code(), StatusCode::kInvalidArgument);
}

TEST_F(Output, ForceReplacesABundleOnlyAtTheEnd) {
  put(out_ / "forge.json", "old");
  put(out_ / "old.bin", "old");
  {
    auto given_up = OutputFolder::create(out_, true);
    ASSERT_TRUE(given_up.ok()) << given_up.status();
  }
  EXPECT_THAT(names_in(out_), ElementsAre("forge.json", "old.bin"));
  auto output = OutputFolder::create(out_, true);
  put(output->path() / "forge.json", "new");
  ASSERT_TRUE(output->commit().ok());
  EXPECT_THAT(folder_.names(), ElementsAre("bundle"));
  EXPECT_THAT(names_in(out_), ElementsAre("forge.json"));
}

TEST_F(Output, ForceLeavesOtherThingsAlone) {
  put(out_ / "thesis.txt", "years of work");
  EXPECT_THAT(check_output(out_, true).message(), HasSubstr("is no bundle"));
  put(folder_.path() / "file", "x");
  EXPECT_THAT(check_output(folder_.path() / "file", true).message(), HasSubstr("not a folder"));
  EXPECT_THAT(check_output(folder_.path() / "file" / "below", false).message(),
              HasSubstr("not a folder"));
  EXPECT_FALSE(check_output("", false).ok());
  EXPECT_FALSE(check_output("/", true).ok());
}

TEST_F(Output, AnotherRunMayHaveFinishedFirst) {
  auto first = OutputFolder::create(out_, false), second = OutputFolder::create(out_, false);
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(second->commit().code(), StatusCode::kIo);
}

TEST_F(Output, NotesOfUnfinishedWorkStayOutOfTheBundle) {
  const std::string note = std::string(kNotePrefix) + "x";
  {
    auto output = OutputFolder::resume(out_, false, "key");
    ASSERT_TRUE(output.ok()) << output.status();
    put(output->path() / note, "of the first run");
    put(output->path() / "a", "1");
  }
  auto output = OutputFolder::resume(out_, false, "key");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_TRUE(fs::exists(output->path() / note));
  EXPECT_THAT(bundle_files(output->path()), ElementsAre(output->path() / "a"));
  ASSERT_TRUE(output->commit().ok());
  EXPECT_THAT(names_in(out_), ElementsAre("a"));
}

TEST_F(Output, ParentsAreMade) {
  auto output = OutputFolder::create(folder_.path() / "a" / "b" / "c", false);
  ASSERT_TRUE(output.ok()) << output.status();
  ASSERT_TRUE(output->commit().ok());
  EXPECT_TRUE(fs::is_directory(folder_.path() / "a" / "b" / "c"));
}

}  // namespace
}  // namespace qhx::forge
