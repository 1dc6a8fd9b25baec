// Whole-file reading and atomic writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace qhx {

// The whole file, at most `max_bytes` of it: larger is kOutOfRange, so that a hostile path cannot
// exhaust memory.
Result<std::string> read_file(const std::filesystem::path& path,
                              std::size_t max_bytes = std::size_t{1} << 30);

// A file that appears under its final name only when commit() has succeeded. Bytes go to a
// temporary file beside it, which the destructor removes if there was no commit. Move-only; one
// thread.
class AtomicFile {
 public:
  enum class Kind {
    kShared,         // others may read it; on disk when commit() returns
    kPrivateScratch  // nobody else may; after a power failure it may be there damaged
  };
  static Result<AtomicFile> create(const std::filesystem::path& final_path,
                                   Kind kind = Kind::kShared);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Flushes to disk, unless it is scratch, and renames. After it, nothing more may be written.
  Status commit();

 private:
  AtomicFile(int fd, std::filesystem::path temporary, std::filesystem::path final_path, Kind kind);
  int fd_ = -1;
  Kind kind_ = Kind::kShared;
  std::uint64_t size_bytes_ = 0;
  std::filesystem::path temporary_;
  std::filesystem::path final_;
};

Status write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
Status write_file(const std::filesystem::path& path, std::string_view text);

// `relative` resolved inside `folder`. kInvalidArgument if it is absolute, empty, or leaves the
// folder by ".." or by a symbolic link. The file need not exist.
Result<std::filesystem::path> path_inside(const std::filesystem::path& folder,
                                          std::string_view relative);

}  // namespace qhx
