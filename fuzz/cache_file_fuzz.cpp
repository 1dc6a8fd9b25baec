// Any bytes as a file of a cache folder: not there, or exactly the payload that its checksum says.
//
// The first byte chooses: even, the rest is the whole file; odd, the rest is its payload behind a
// header that fits, since the checksums would stop every mutation. The second byte is how much more
// or less (as int8) than the payload is asked for, mostly 0.
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "cache/cache_folder.h"

namespace {

using qhx::cache::CacheFolder;
using qhx::cache::EntryHeader;
using Bytes = std::vector<std::byte>;

const CacheFolder& folder() {
  static const CacheFolder cache = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "qhx-cache-XXXXXX").string();
    QHX_CHECK(::mkdtemp(pattern.data()) != nullptr);
    qhx::set_log_sink([](qhx::LogLevel, std::string_view) {}, qhx::LogLevel::kError);
    static const std::string made = pattern;
    std::atexit([] { std::filesystem::remove_all(made); });
    return std::move(CacheFolder::open(pattern, 1 << 24)).value();
  }();
  return cache;
}

void put(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                             std::fclose);
  QHX_CHECK(file != nullptr);
  QHX_CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(2);
  const qhx::cache::Key key = {};
  Bytes file;
  if (data[0] % 2 != 0) {
    const auto header = qhx::cache::print_header({key, rest.size(), qhx::xxh3_64(rest)});
    file.assign(header.begin(), header.end());
  }
  file.insert(file.end(), rest.begin(), rest.end());
  static_cast<void>(qhx::cache::parse_header(rest));
  put(folder().path_of(key), file);

  const std::size_t there = file.size() - std::min(file.size(), EntryHeader::kBytes);
  const auto asked = static_cast<std::ptrdiff_t>(there) + static_cast<std::int8_t>(data[1]);
  Bytes payload(static_cast<std::size_t>(std::max<std::ptrdiff_t>(asked, 0)));
  const std::size_t half = payload.size() / 2;
  const std::span<std::byte> pieces[] = {std::span(payload).first(half),
                                         std::span(payload).subspan(half)};
  const bool hit = folder().read(key, pieces);
  if (hit) {
    QHX_CHECK(payload.size() == there);
    QHX_CHECK(std::equal(payload.begin(), payload.end(), file.begin() + EntryHeader::kBytes));
  } else {
    QHX_CHECK(!std::filesystem::exists(folder().path_of(key)));
    QHX_CHECK(data[0] % 2 == 0 || payload.size() != there);
  }
  return 0;
}
