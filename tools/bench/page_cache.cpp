#include "bench/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapped_file.h"

namespace qhx::bench {
namespace {

namespace fs = std::filesystem;

class OpenFile {
 public:
  explicit OpenFile(const fs::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Status drop_from_cache(const std::vector<fs::path>& files) {
  for (const fs::path& path : files) {
    const OpenFile file(path);
    if (file.fd() < 0) return errno_error(path.string());
    ::fdatasync(file.fd());  // pages that are not written yet would stay
    errno = ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
    if (errno != 0) return errno_error(path.string() + ": cannot be dropped from the page cache");
  }
  return {};
}

Status read_into_cache(const std::vector<fs::path>& files) {
  std::vector<char> buffer(std::size_t{1} << 20);
  for (const fs::path& path : files) {
    const OpenFile file(path);
    if (file.fd() < 0) return errno_error(path.string());
    ssize_t got = 0;
    while ((got = ::read(file.fd(), buffer.data(), buffer.size())) > 0) {
    }
    if (got < 0) return errno_error(path.string());
  }
  return {};
}

Result<std::uint64_t> cached_bytes(const std::vector<fs::path>& files) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t bytes = 0;
  for (const fs::path& path : files) {
    QHX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    if (file.size() == 0) continue;
    std::vector<unsigned char> resident((file.size() + page - 1) / page);
    // mincore() only asks; its argument is not const for want of the keyword in 1990.
    void* const begin = const_cast<std::byte*>(file.bytes().data());
    if (::mincore(begin, file.size(), resident.data()) != 0) return errno_error(path.string());
    for (const unsigned char flag : resident) bytes += (flag & 1) != 0 ? page : 0;
  }
  return bytes;
}

}  // namespace qhx::bench
