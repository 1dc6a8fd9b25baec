// A folder of files that hold what was computed once, so that another process need not do it again.
//
// A file's name is the key of its content, and it appears under it whole or not at all. Files are
// checksummed: what is damaged, cut off or of another kind is removed and counts as not there. The
// folder is bounded in size: the least recently used files go first. Any number of processes may
// use it at once; none waits for another.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/status.h"
#include "cache/entry_header.h"

namespace qhx::cache {

// Thread-safe.
class CacheFolder {
 public:
  // Makes the folder (mode 0700) if it is missing; files in it are 0600. kInvalidArgument if it
  // belongs to another user or others may write to it: they could put in what they like.
  static Result<CacheFolder> open(const std::filesystem::path& folder, std::uint64_t max_bytes);

  // Whether there is a file for `key`; it may turn out to be damaged.
  bool contains(const Key& key) const;
  // Fills the pieces, one after the other, with the payload of `key`, which must have their length,
  // and marks the file as used. False if there is no such payload: what the pieces then hold is
  // unspecified.
  bool read(const Key& key, std::span<const std::span<std::byte>> pieces) const;

  // Stores the pieces as the payload of `key`, unless there is one, which then counts as used; then
  // removes files until the folder keeps its bound. Payloads that are larger are not stored.
  Status write(const Key& key, std::span<const std::span<const std::byte>> pieces) const;

  std::filesystem::path path_of(const Key& key) const;

 private:
  CacheFolder(std::filesystem::path folder, std::uint64_t max_bytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  void evict() const;

  std::filesystem::path folder_;
  std::uint64_t max_bytes_;
};

}  // namespace qhx::cache
