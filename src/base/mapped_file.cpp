#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace qhx {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno_error(path.string() + ": cannot open");
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    Status status = errno_error(path.string() + ": cannot stat");
    ::close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return io_error(path.string() + ": is not a regular file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) {
    ::close(fd);
    return MappedFile();
  }
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  Status status = address == MAP_FAILED ? errno_error(path.string() + ": cannot map") : Status();
  ::close(fd);  // the mapping keeps the file alive
  if (!status.ok()) return status;
  return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::drop_resident(std::size_t offset, std::size_t length) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // The end of the file may end its last page early.
  const std::size_t all = (bytes_.size() + page - 1) / page * page;
  const std::size_t end = offset + length >= bytes_.size() ? all : (offset + length) / page * page;
  const std::size_t begin = (offset + page - 1) / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace qhx
