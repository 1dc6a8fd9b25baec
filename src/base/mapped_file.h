// A read-only file mapping. Pages come from the page cache when touched and are shared with other
// processes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "base/status.h"

namespace qhx {

// Move-only. The bytes stay valid until destruction; they are read-only, and any thread may read
// them. A file that another process shortens while it is mapped makes reads past its new end fault:
// bundles are replaced by rename only.
class MappedFile {
 public:
  // An empty file gives an empty span. kNotFound or kIo with the path in the message.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

  // Tells the kernel that the pages of this range will not be needed soon (they stay in the page
  // cache): keeps the resident size of a pass over a large file small. Offsets need not be
  // page-aligned.
  void drop_resident(std::size_t offset, std::size_t length) const;
  void drop_resident() const { drop_resident(0, size()); }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace qhx
