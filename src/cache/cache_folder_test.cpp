#include "cache/cache_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "base/file.h"
#include "base/log.h"

namespace qhx::cache {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

Key key_of(int number) { return Sha256().add(std::as_bytes(std::span(&number, 1))).digest(); }

Bytes payload_of(int number, std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(number));
  return bytes;
}

Status write(const CacheFolder& cache, const Key& key, const Bytes& bytes) {
  const std::span<const std::byte> piece[] = {bytes};
  return cache.write(key, piece);
}

std::optional<Bytes> read(const CacheFolder& cache, const Key& key, std::size_t size) {
  Bytes bytes(size);
  // In two pieces, the second perhaps empty.
  const std::span<std::byte> pieces[] = {std::span(bytes).first(size / 2),
                                         std::span(bytes).subspan(size / 2)};
  if (!cache.read(key, pieces)) return std::nullopt;
  return bytes;
}

class CacheFolderTest : public testing::Test {
 protected:
  CacheFolderTest() {
    std::string pattern = (fs::temp_directory_path() / "qhx-cache-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    set_log_sink([](LogLevel, std::string_view) {}, LogLevel::kWarn);
  }
  ~CacheFolderTest() override { fs::remove_all(root_); }

  CacheFolder open(std::uint64_t max_bytes = 1 << 20) {
    return std::move(CacheFolder::open(root_ / "a" / "cache", max_bytes)).value();
  }
  std::size_t files() const {
    const fs::directory_iterator all(root_ / "a" / "cache");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  // As if last used so many seconds ago.
  static void age(const fs::path& path, int seconds) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  }

  fs::path root_;
};

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return info.st_mode & 0777;
}

TEST_F(CacheFolderTest, GivesBackWhatWasPutIn) {
  const CacheFolder cache = open();
  EXPECT_FALSE(read(cache, key_of(1), 0));
  EXPECT_FALSE(cache.contains(key_of(1)));
  for (const std::size_t size : {0, 1, 2, 4095, 100000}) {
    const Key key = key_of(static_cast<int>(size));
    const Bytes payload = payload_of(3, size);
    ASSERT_TRUE(write(cache, key, payload).ok());
    EXPECT_EQ(read(cache, key, size), payload) << size;
    EXPECT_TRUE(cache.contains(key));
    EXPECT_EQ(read(open(), key, size), payload) << "opened again";
  }
}

TEST_F(CacheFolderTest, IsPrivate) {
  const mode_t old = ::umask(0);
  const CacheFolder cache = open();
  ASSERT_TRUE(write(cache, key_of(1), payload_of(1, 10)).ok());
  ::umask(old);
  EXPECT_EQ(mode_of(root_ / "a" / "cache"), 0700u);
  EXPECT_EQ(mode_of(cache.path_of(key_of(1))), 0600u);
  fs::permissions(root_ / "a" / "cache", fs::perms::group_write, fs::perm_options::add);
  const auto open_to_others = CacheFolder::open(root_ / "a" / "cache", 1000);
  EXPECT_EQ(open_to_others.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(open_to_others.status().message(), testing::HasSubstr("chmod 700"));
}

TEST_F(CacheFolderTest, NeedsAFolder) {
  ASSERT_TRUE(write_file(root_ / "file", "x").ok());
  EXPECT_EQ(CacheFolder::open(root_ / "file", 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CacheFolder::open(root_ / "file" / "below", 1).status().code(), StatusCode::kIo);
}

TEST_F(CacheFolderTest, AnyFlippedBitIsFoundRemovedAndReplaced) {
  const CacheFolder cache = open();
  const Key key = key_of(1);
  const Bytes payload = payload_of(1, 40);
  ASSERT_TRUE(write(cache, key, payload).ok());
  const std::string good = read_file(cache.path_of(key)).value();
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    std::ofstream(cache.path_of(key), std::ios::binary | std::ios::trunc) << bad;
    EXPECT_FALSE(read(cache, key, payload.size())) << at;
    EXPECT_FALSE(fs::exists(cache.path_of(key))) << at;
    ASSERT_TRUE(write(cache, key, payload).ok());
    EXPECT_EQ(read(cache, key, payload.size()), payload) << at;
  }
}

TEST_F(CacheFolderTest, OtherLengthsAndOtherKindsOfFilesAreNotRead) {
  const CacheFolder cache = open();
  const Key key = key_of(1);
  const Bytes payload = payload_of(1, 40);
  ASSERT_TRUE(write(cache, key, payload).ok());
  const std::string good = read_file(cache.path_of(key)).value();
  const std::string other_key = [&] {
    EXPECT_TRUE(write(cache, key_of(2), payload).ok());
    return read_file(cache.path_of(key_of(2))).value();
  }();
  for (const std::string& bad : {good + "x", good.substr(0, good.size() - 1), good.substr(0, 20),
                                 std::string(), other_key}) {
    std::ofstream(cache.path_of(key), std::ios::binary | std::ios::trunc) << bad;
    EXPECT_FALSE(read(cache, key, payload.size())) << bad.size();
  }
  ASSERT_TRUE(write(cache, key, payload).ok());
  EXPECT_FALSE(read(cache, key, payload.size() + 1)) << "asked for as something longer";
  ASSERT_TRUE(write_file(root_ / "elsewhere", good).ok());
  fs::create_symlink(root_ / "elsewhere", cache.path_of(key));
  EXPECT_FALSE(read(cache, key, payload.size()));
  EXPECT_TRUE(fs::exists(root_ / "elsewhere"));
  ASSERT_EQ(::mkfifo(cache.path_of(key).c_str(), 0600), 0);
  EXPECT_FALSE(read(cache, key, payload.size()));
}

TEST_F(CacheFolderTest, TheLeastRecentlyUsedGoesFirst) {
  constexpr std::size_t kSize = 1000, kFile = kSize + EntryHeader::kBytes;
  const CacheFolder cache = open(3 * kFile);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(write(cache, key_of(i), payload_of(i, kSize)).ok());
    age(cache.path_of(key_of(i)), 100 - i);
  }
  EXPECT_TRUE(read(cache, key_of(0), kSize)) << "used now";
  ASSERT_TRUE(write(cache, key_of(1), payload_of(1, kSize)).ok()) << "used now as well";
  ASSERT_TRUE(write(cache, key_of(3), payload_of(3, kSize)).ok());
  EXPECT_TRUE(read(cache, key_of(0), kSize));
  EXPECT_TRUE(read(cache, key_of(1), kSize));
  EXPECT_FALSE(read(cache, key_of(2), kSize));
  EXPECT_TRUE(read(cache, key_of(3), kSize));
  ASSERT_TRUE(write(cache, key_of(4), payload_of(4, 4 * kSize)).ok());
  EXPECT_FALSE(read(cache, key_of(4), 4 * kSize)) << "larger than everything";
  EXPECT_EQ(files(), 3u);
}

TEST_F(CacheFolderTest, OnlyItsOwnFilesAreRemoved) {
  const CacheFolder cache = open(2000);
  const fs::path folder = root_ / "a" / "cache";
  const std::string name = cache.path_of(key_of(1)).filename().string();
  for (const std::string file : {"notes.txt", "old.tmp-abc"}) {
    ASSERT_TRUE(write_file(folder / file, std::string(5000, 'x')).ok());
    age(folder / file, 100000);
  }
  for (const auto& [file, seconds] :
       {std::pair{name + ".tmp-dead01", 100000}, std::pair{name + ".tmp-live01", 10}}) {
    ASSERT_TRUE(write_file(folder / file, "x").ok());
    age(folder / file, seconds);
  }
  ASSERT_TRUE(write(cache, key_of(2), payload_of(2, 1500)).ok());
  EXPECT_TRUE(read(cache, key_of(2), 1500));
  EXPECT_TRUE(fs::exists(folder / "notes.txt"));
  EXPECT_TRUE(fs::exists(folder / "old.tmp-abc"));
  EXPECT_FALSE(fs::exists(folder / (name + ".tmp-dead01")));
  EXPECT_TRUE(fs::exists(folder / (name + ".tmp-live01")));
}

TEST_F(CacheFolderTest, AWriteThatFailsLeavesNothing) {
  const CacheFolder cache = open();
  fs::remove_all(root_ / "a");
  EXPECT_EQ(write(cache, key_of(1), payload_of(1, 10)).code(), StatusCode::kNotFound);
  EXPECT_FALSE(read(cache, key_of(1), 10));
}

// Both write, read and evict the same few keys; whatever is read is right.
TEST_F(CacheFolderTest, SeveralProcessesAtOnce) {
  constexpr std::size_t kSize = 20000;
  constexpr int kKeys = 6, kRounds = 300;
  const CacheFolder cache = open(4 * (kSize + EntryHeader::kBytes));
  const auto work = [&](int process) {
    int hits = 0;
    for (int round = 0; round < kRounds; ++round) {
      const int i = (round * (process + 2) + process) % kKeys;
      const auto found = read(cache, key_of(i), kSize);
      if (found && *found != payload_of(i, kSize)) return 2;
      hits += found ? 1 : 0;
      if (!found && !write(cache, key_of(i), payload_of(i, kSize)).ok()) return 3;
    }
    return hits > 0 ? 0 : 4;
  };
  std::vector<pid_t> children;
  for (int process = 0; process < 3; ++process) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(work(process));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  EXPECT_LE(files(), 4u) << "no temporary file is left, and the bound is kept";
}

TEST(EntryHeader, PrintsWhatItParses) {
  const EntryHeader header{key_of(1), 12345, 678};
  const auto bytes = print_header(header);
  const auto parsed = parse_header(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->key, header.key);
  EXPECT_EQ(parsed->payload_bytes, header.payload_bytes);
  EXPECT_EQ(parsed->payload_xxh3, header.payload_xxh3);
  EXPECT_FALSE(parse_header(std::span(bytes).first(EntryHeader::kBytes - 1)));
  EXPECT_FALSE(parse_header({}));
}

}  // namespace
}  // namespace qhx::cache
