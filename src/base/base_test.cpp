#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <thread>

#include "base/aligned_buffer.h"
#include "base/f16.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "base/npy.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace qhx {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BaseFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qhx-base-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST(F16, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t h = 0; h <= 0xFFFF; ++h) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f)))) << h;
    } else {
      EXPECT_EQ(f32_to_f16(f), h);
    }
  }
}

TEST(F16, RoundsToNearestEven) {
  // Between each pair of neighbours: just below the middle goes down, just above goes up, the
  // middle to even.
  for (std::uint16_t h = 0; h < 0x7BFF; ++h) {
    const float low = f16_to_f32(h), high = f16_to_f32(static_cast<std::uint16_t>(h + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), h);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), h + 1);
    EXPECT_EQ(f32_to_f16(middle), h % 2 == 0 ? h : h + 1);
    EXPECT_EQ(f32_to_f16(-middle), f32_to_f16(middle) | 0x8000);
  }
  EXPECT_EQ(f32_to_f16(65519.99f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7C00);
}

TEST(StatusTest, ContextIsAddedInFront) {
  const Status status = corrupt("expected 4, found 5").with_context("file.bin");
  EXPECT_EQ(status.message(), "file.bin: expected 4, found 5");
  EXPECT_TRUE(Status().with_context("x").ok());
}

TEST_F(BaseFiles, ScratchFilesAreForTheirOwnerOnly) {
  using fs::perms;
  const auto mode_of = [&](AtomicFile::Kind kind) {
    auto file = AtomicFile::create(folder_ / "scratch", kind);
    EXPECT_TRUE(file.ok() && file->write("x").ok() && file->commit().ok());
    return fs::status(folder_ / "scratch").permissions();
  };
  EXPECT_EQ(mode_of(AtomicFile::Kind::kPrivateScratch), perms::owner_read | perms::owner_write);
  EXPECT_EQ(mode_of(AtomicFile::Kind::kShared),
            perms::owner_read | perms::owner_write | perms::group_read | perms::others_read);
}

TEST_F(BaseFiles, AtomicFileAppearsOnlyWithCommit) {
  const fs::path path = folder_ / "a";
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->write("half").ok());
  }
  EXPECT_TRUE(fs::is_empty(folder_)) << "the temporary file must be gone too";
  ASSERT_TRUE(write_file(path, "whole").ok());
  EXPECT_EQ(read_file(path).value(), "whole");
  EXPECT_EQ(read_file(path, 4).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(read_file(folder_ / "none").status().code(), StatusCode::kNotFound);
}

TEST_F(BaseFiles, MappedFileShowsTheBytes) {
  ASSERT_TRUE(write_file(folder_ / "m", std::string(10000, 'x')).ok());
  auto file = MappedFile::open(folder_ / "m");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), 10000u);
  file->drop_resident(1, 9999);
  EXPECT_EQ(file->bytes()[9999], std::byte{'x'});
  EXPECT_THAT(MappedFile::open(folder_).status().message(), HasSubstr("not a regular file"));
}

// Kilobytes of the process's mapping of `path` that are in memory, from /proc/self/smaps.
std::size_t resident_kb(const fs::path& path) {
  std::ifstream maps("/proc/self/smaps");
  std::size_t kb = 0;
  bool ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path.string()) != std::string::npos) ours = true;
    if (!ours || !line.starts_with("Rss:")) continue;
    kb += std::stoul(line.substr(4));
    ours = false;
  }
  return kb;
}

TEST_F(BaseFiles, DroppedPagesLeaveTheProcessAndComeBack) {
  const fs::path path = folder_ / "pages";
  ASSERT_TRUE(write_file(path, std::string((std::size_t{1} << 20) + 100, 'x')).ok());
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto touch = [&] {
    return std::count(file->bytes().begin(), file->bytes().end(), std::byte{'x'});
  };
  EXPECT_EQ(touch(), (1 << 20) + 100);
  EXPECT_GE(resident_kb(path), 1024u);
  file->drop_resident(0, 512 << 10);
  EXPECT_GT(resident_kb(path), 0u);
  EXPECT_LE(resident_kb(path), 1024u - 512 + 64);
  file->drop_resident();
  EXPECT_EQ(resident_kb(path), 0u) << "the short last page, too";
  EXPECT_EQ(touch(), (1 << 20) + 100);
}

TEST_F(BaseFiles, PathsStayInsideTheFolder) {
  fs::create_directory(folder_ / "in");
  fs::create_symlink("/etc", folder_ / "in" / "link");
  EXPECT_TRUE(path_inside(folder_ / "in", "a/b").ok());
  EXPECT_TRUE(path_inside(folder_ / "in", "a/../b").ok());
  for (const char* bad : {"", "/etc/passwd", "..", "../in2", "a/../../x", "link/passwd"}) {
    EXPECT_EQ(path_inside(folder_ / "in", bad).status().code(), StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(BaseFiles, NpyRoundTrip) {
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), 0.5f);
  for (const std::vector<std::size_t>& shape : {std::vector<std::size_t>{2, 3}, {6}, {1, 6, 1}}) {
    ASSERT_TRUE(
        write_npy(folder_ / "v.npy", DType::kF32, shape, std::as_bytes(std::span(values))).ok());
    auto read = read_npy(folder_ / "v.npy");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape, shape);
    EXPECT_EQ(std::memcmp(read->bytes.data(), values.data(), 24), 0);
  }
  ASSERT_TRUE(
      write_npy(folder_ / "scalar.npy", DType::kF32, {}, std::as_bytes(std::span(values).first(1)))
          .ok());
  EXPECT_TRUE(read_npy(folder_ / "scalar.npy")->shape.empty());
}

TEST(Hash, KnownVectors) {
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(std::string_view("abc")))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2ull);
}

TEST(Hash, PiecesAreTheSameAsTheWhole) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * 31);
  const auto bytes = std::as_bytes(std::span(std::string_view(text)));
  Sha256 sha256;
  Xxh3 xxh3;
  for (std::size_t at = 0, size = 0; at < bytes.size(); at += size, ++size) {
    const auto piece = bytes.subspan(at, std::min(size, bytes.size() - at));
    sha256.add(piece);
    xxh3.add(piece);
  }
  EXPECT_EQ(hex(sha256.digest()), sha256_hex(bytes));
  EXPECT_EQ(xxh3.digest(), xxh3_64(bytes));
}

TEST(AlignedBufferTest, IsAlignedAndZero) {
  for (const std::size_t size :
       {1u, 63u, 64u, 65u, 1000003u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1}) {
    AlignedBuffer buffer(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % AlignedBuffer::kAlignment, 0u);
    EXPECT_TRUE(std::all_of(buffer.bytes().begin(), buffer.bytes().end(),
                            [](std::byte b) { return b == std::byte{}; }));
    buffer.bytes().back() = std::byte{1};
  }
  EXPECT_EQ(AlignedBuffer(0).size(), 0u);
}

TEST(ThreadPoolTest, EveryIndexOnceOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::size_t count : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> hits(count);
      pool.run(count, [&](std::size_t i) { ++hits[i]; });
      for (const auto& hit : hits) EXPECT_EQ(hit, 1);
    }
  }
}

TEST(ThreadPoolTest, ManyShortJobsFromSeveralCallers) {
  ThreadPool pool(4);
  std::atomic<std::uint64_t> sum = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int job = 0; job < 2000; ++job) pool.run(5, [&](std::size_t i) { sum += i; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3u * 2000u * 10u);
}

TEST(ThreadPoolTest, UsableCpusIsPositive) { EXPECT_GE(usable_cpus(), 1); }

}  // namespace
}  // namespace qhx
