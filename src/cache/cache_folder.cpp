#include "cache/cache_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "base/log.h"

namespace qhx::cache {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".qhxcache";
// A temporary file that old was left by a process that died.
constexpr std::time_t kAbandonedAfter = 3600;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

template <class Byte>
std::uint64_t total_bytes(std::span<const std::span<Byte>> pieces) {
  std::uint64_t total = 0;
  for (const auto& piece : pieces) total += piece.size();
  return total;
}

bool read_exactly(int fd, std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t n = ::read(fd, to.data(), to.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to = to.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

// Whether the file is what it should be; then the pieces are filled.
bool read_entry(int fd, const Key& key, std::span<const std::span<std::byte>> pieces) {
  struct stat info {};
  const std::uint64_t payload = total_bytes(pieces);
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) != EntryHeader::kBytes + payload) {
    return false;
  }
  EntryHeader::Bytes bytes;
  if (!read_exactly(fd, bytes)) return false;
  const auto header = parse_header(bytes);
  if (!header || header->key != key || header->payload_bytes != payload) return false;
  Xxh3 checksum;
  for (const std::span<std::byte> piece : pieces) {
    if (!read_exactly(fd, piece)) return false;
    checksum.add(piece);
  }
  return checksum.digest() == header->payload_xxh3;
}

struct Found {
  timespec used{};
  std::string path;
  std::uint64_t bytes = 0;
};

// The cache's own files; abandoned temporary ones are removed on the way.
std::vector<Found> list(const fs::path& folder) {
  std::vector<Found> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (path.ends_with(kSuffix)) {
      files.push_back({info.st_mtim, path, static_cast<std::uint64_t>(info.st_size)});
    } else if (path.find(std::string(kSuffix) + ".tmp-") != std::string::npos &&
               info.st_mtim.tv_sec + kAbandonedAfter < std::time(nullptr)) {
      ::unlink(path.c_str());
    }
  }
  return files;
}

}  // namespace

Result<CacheFolder> CacheFolder::open(const fs::path& folder, std::uint64_t max_bytes) {
  std::error_code error;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error("cache folder " + folder.string() + ": cannot create");
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0)
    return errno_error("cache folder " + folder.string() + ": cannot look at it");
  if (!S_ISDIR(info.st_mode))
    return invalid_argument("cache folder " + folder.string() + ": is no folder");
  if (info.st_uid != ::geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return invalid_argument("cache folder " + folder.string() +
                            ": other users may write to it; give one of your own (chmod 700)");
  }
  if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0)
    return errno_error("cache folder " + folder.string() + ": cannot be used");
  return CacheFolder(folder, max_bytes);
}

fs::path CacheFolder::path_of(const Key& key) const {
  return folder_ / (hex(key) + std::string(kSuffix));
}

bool CacheFolder::contains(const Key& key) const {
  return ::access(path_of(key).c_str(), F_OK) == 0;
}

bool CacheFolder::read(const Key& key, std::span<const std::span<std::byte>> pieces) const {
  const fs::path path = path_of(key);
  // Neither through a link nor, waiting, into a pipe.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return false;
  if (file.get() < 0 || !read_entry(file.get(), key, pieces)) {
    log(LogLevel::kWarn, path.string() + ": damaged; it is removed and made again");
    ::unlink(path.c_str());
    return false;
  }
  const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  static_cast<void>(::futimens(file.get(), now));
  return true;
}

Status CacheFolder::write(const Key& key,
                          std::span<const std::span<const std::byte>> pieces) const {
  const std::uint64_t payload = total_bytes(pieces);
  if (payload > max_bytes_ || max_bytes_ - payload < EntryHeader::kBytes) return {};
  const fs::path path = path_of(key);
  const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  if (::utimensat(AT_FDCWD, path.c_str(), now, AT_SYMLINK_NOFOLLOW) == 0) return {};
  Xxh3 checksum;
  for (const auto& piece : pieces) checksum.add(piece);
  QHX_ASSIGN_OR_RETURN(AtomicFile file,
                       AtomicFile::create(path, AtomicFile::Kind::kPrivateScratch));
  QHX_RETURN_IF_ERROR(file.write(print_header({key, payload, checksum.digest()})));
  for (const auto& piece : pieces) QHX_RETURN_IF_ERROR(file.write(piece));
  QHX_RETURN_IF_ERROR(file.commit());
  evict();
  return {};
}

// Two processes may do this at once: what the other has removed is gone already.
void CacheFolder::evict() const {
  std::vector<Found> files = list(folder_);
  std::uint64_t total = 0;
  for (const Found& file : files) total += file.bytes;
  if (total <= max_bytes_) return;
  std::sort(files.begin(), files.end(), [](const Found& a, const Found& b) {
    return std::tie(a.used.tv_sec, a.used.tv_nsec, a.path) <
           std::tie(b.used.tv_sec, b.used.tv_nsec, b.path);
  });
  for (const Found& file : files) {
    if (total <= max_bytes_) return;
    ::unlink(file.path.c_str());
    total -= file.bytes;
  }
}

}  // namespace qhx::cache
