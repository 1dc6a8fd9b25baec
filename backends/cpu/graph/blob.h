// Immutable bytes of static tensors: the unit that a context binary stores, shares and checks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"

namespace qhx::cpu {

// Alignment of a blob of this size inside a context binary: 64 bytes, a page for large ones.
std::uint64_t blob_alignment(std::uint64_t size_bytes);
// The size with the zero padding that follows it there.
std::uint64_t padded_size(std::uint64_t size_bytes);

// Thread-safe. The bytes are 64-byte aligned.
class Blob {
 public:
  // Owns `buffer`, which has padded_size(size_bytes) bytes, zero past size_bytes.
  Blob(AlignedBuffer buffer, std::uint64_t size_bytes);
  // A section of a context binary that the owner of this object keeps alive, not yet checked.
  // `padded` covers its padding.
  Blob(std::span<const std::byte> padded, std::uint64_t size_bytes, std::uint64_t checksum);

  std::span<const std::byte> bytes() const { return padded_.first(size_bytes_); }
  std::span<const std::byte> padded() const { return padded_; }
  const std::byte* data() const { return padded_.data(); }

  // XXH3-64 of the padded bytes. Of an owned blob it is computed on first use.
  std::uint64_t checksum() const;
  // Whether the bytes still have the checksum they were stored with. Reads them once; later calls
  // answer at once.
  bool verify() const;
  bool verified() const { return verified_.load(std::memory_order_acquire); }

 private:
  AlignedBuffer owned_;
  std::span<const std::byte> padded_;
  std::uint64_t size_bytes_ = 0;
  mutable std::once_flag hashed_;
  mutable std::uint64_t checksum_ = 0;
  mutable std::atomic<bool> verified_ = false;
};

// A zeroed buffer with room for `size_bytes` and its padding.
AlignedBuffer blob_buffer(std::uint64_t size_bytes);

// Keeps one blob of each content, as long as someone uses it. Thread-safe.
class BlobStore {
 public:
  // `blob`, or an equal one that is already here.
  std::shared_ptr<const Blob> intern(std::shared_ptr<const Blob> blob);

 private:
  std::mutex mutex_;
  std::multimap<std::uint64_t, std::weak_ptr<const Blob>> by_checksum_;
};

}  // namespace qhx::cpu
