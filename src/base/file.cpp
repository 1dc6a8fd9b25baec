#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace qhx {
namespace fs = std::filesystem;

Result<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno_error(path.string() + ": cannot open");
  std::string text;
  Status status;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    text.reserve(std::min(static_cast<std::size_t>(info.st_size), max_bytes));
  }
  char buffer[1 << 16];
  while (status.ok()) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = errno_error(path.string() + ": cannot read");
    } else if (text.size() + static_cast<std::size_t>(n) > max_bytes) {
      status = out_of_range(path.string() + ": is larger than the limit of " +
                            std::to_string(max_bytes) + " bytes");
    } else {
      text.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  if (!status.ok()) return status;
  return text;
}

AtomicFile::AtomicFile(int fd, fs::path temporary, fs::path final_path, Kind kind)
    : fd_(fd), kind_(kind), temporary_(std::move(temporary)), final_(std::move(final_path)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      kind_(other.kind_),
      size_bytes_(other.size_bytes_),
      temporary_(std::exchange(other.temporary_, {})),
      final_(std::move(other.final_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const fs::path& final_path, Kind kind) {
  std::string pattern = final_path.string() + ".tmp-XXXXXX";
  const int fd = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (fd < 0) return errno_error(final_path.string() + ": cannot create");
  if (kind == Kind::kShared) ::fchmod(fd, 0644);  // mkostemp made it 0600
  return AtomicFile(fd, pattern, final_path, kind);
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  QHX_CHECK(fd_ >= 0);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(final_.string() + ": cannot write");
    size_bytes_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status AtomicFile::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Status AtomicFile::commit() {
  QHX_CHECK(fd_ >= 0);
  const bool synced = kind_ == Kind::kPrivateScratch || ::fsync(fd_) == 0;
  Status status = synced ? Status() : errno_error(final_.string() + ": cannot flush");
  ::close(std::exchange(fd_, -1));
  if (!status.ok()) return status;
  if (::rename(temporary_.c_str(), final_.c_str()) != 0)
    return errno_error(final_.string() + ": cannot rename into place");
  temporary_.clear();
  return {};
}

Status write_file(const fs::path& path, std::span<const std::byte> bytes) {
  QHX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  QHX_RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

Status write_file(const fs::path& path, std::string_view text) {
  return write_file(path, std::as_bytes(std::span(text)));
}

Result<fs::path> path_inside(const fs::path& folder, std::string_view relative) {
  std::string shown = "\"";
  shown.append(relative).append("\"");
  const fs::path wanted(relative);
  if (relative.empty() || relative.find('\0') != std::string_view::npos || wanted.is_absolute()) {
    return invalid_argument("path " + shown + " must be relative to the bundle's folder");
  }
  std::error_code error;
  const fs::path root = fs::weakly_canonical(fs::absolute(folder), error);
  if (error) return io_error(folder.string() + ": cannot resolve: " + error.message());
  const fs::path resolved = fs::weakly_canonical(root / wanted, error);
  if (error) return io_error((root / wanted).string() + ": cannot resolve: " + error.message());
  const auto [rest, unused] =
      std::mismatch(root.begin(), root.end(), resolved.begin(), resolved.end());
  if (rest != root.end()) return invalid_argument("path " + shown + " leaves the bundle's folder");
  return resolved;
}

}  // namespace qhx
