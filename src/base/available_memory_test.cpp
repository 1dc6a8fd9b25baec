#include "base/available_memory.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/file.h"

namespace qhx {
namespace {

namespace fs = std::filesystem;

// A made-up /proc and /sys.
class FakeSystem : public ::testing::Test {
 protected:
  FakeSystem() {
    std::string pattern = (fs::temp_directory_path() / "qhx-memory-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~FakeSystem() override { fs::remove_all(root_); }

  void put(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    ASSERT_TRUE(write_file(root_ / file, text).ok());
  }
  void put_meminfo(std::uint64_t available_kb) {
    put("proc/meminfo", "MemTotal:       9999999 kB\nMemFree:          1 kB\nMemAvailable:   " +
                            std::to_string(available_kb) + " kB\n");
  }

  fs::path root_;
};

TEST_F(FakeSystem, SystemsEstimateWithoutACgroup) {
  put_meminfo(1000);
  put("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(available_memory(root_)->bytes, 1000u * 1024);
  EXPECT_EQ(available_memory(root_)->limited_by, "the system");
}

TEST_F(FakeSystem, NothingIsKnown) { EXPECT_FALSE(available_memory(root_).has_value()); }

TEST_F(FakeSystem, Version2LimitLessWhatIsUsedAndNoFilePages) {
  put_meminfo(1000);
  put("proc/self/cgroup", "0::/box/inner\n");
  put("sys/fs/cgroup/box/inner/memory.max", "max\n");
  put("sys/fs/cgroup/box/inner/memory.current", "70000\n");
  put("sys/fs/cgroup/box/memory.max", "100000\n");
  put("sys/fs/cgroup/box/memory.current", "90000\n");
  put("sys/fs/cgroup/box/memory.stat", "anon 50000\ninactive_file 20000\nactive_file 20000\n");
  EXPECT_EQ(available_memory(root_)->bytes, 50000u);
  EXPECT_EQ(available_memory(root_)->limited_by, "the cgroup");
}

TEST_F(FakeSystem, Version1WithThePathOfTheHost) {
  put_meminfo(1000);
  put("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000\n");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "30000\n");
  put("sys/fs/cgroup/memory/memory.stat", "cache 1\ntotal_inactive_file 4000\n");
  EXPECT_EQ(available_memory(root_)->bytes, 74000u);
}

TEST_F(FakeSystem, MoreUsedThanAllowedLeavesNothing) {
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/memory.max", "100\n");
  put("sys/fs/cgroup/memory.current", "200\n");
  EXPECT_EQ(available_memory(root_)->bytes, 0u);
}

TEST(AvailableMemory, ThisMachineTells) {
  const auto memory = available_memory();
  ASSERT_TRUE(memory.has_value());
  EXPECT_GT(memory->bytes, std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace qhx
