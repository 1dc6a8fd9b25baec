#include "qnn/installed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace qhx::qnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Installed : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("installed-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    ::setenv("QHX_QNN_DIR", folder_.c_str(), 1);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string put(const char* name) {
    EXPECT_TRUE(write_file(folder_ / name, std::string_view("a library")).ok());
    return (folder_ / name).string();
  }
  fs::path folder_;
};

TEST_F(Installed, TheCpuLibraryIsBoth) {
  const auto found = complete_libraries({}, false, "cpu.so");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->backend, "cpu.so");
  EXPECT_EQ(found->system, "cpu.so");
}

TEST_F(Installed, ADeviceHasThoseOfTheInstallation) {
  const std::string backend = put("libQnnHtp.so"), system = put("libQnnSystem.so");
  const auto found = complete_libraries({}, true, "cpu.so");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->backend, backend);
  EXPECT_EQ(found->system, system);
}

TEST_F(Installed, WhatIsGivenStays) {
  const auto both = complete_libraries({"a.so", "b.so"}, true, "cpu.so");
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->backend, "a.so");
  EXPECT_EQ(both->system, "b.so");
  const std::string system = put("libQnnSystem.so");
  const auto backend = complete_libraries({put("mine.so"), ""}, true, "cpu.so");
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(backend->system, system);
}

TEST_F(Installed, AMissingSystemLibrarySaysWhatToGive) {
  const Status status = complete_libraries({put("mine.so"), ""}, true, "cpu.so").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(),
              HasSubstr("libQnnSystem.so: not found beside mine.so; name the system library"));
}

}  // namespace
}  // namespace qhx::qnn
