#include "graph/blob.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

namespace qhx::cpu {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLarge = 64 * 1024;

}  // namespace

std::uint64_t blob_alignment(std::uint64_t size_bytes) {
  return size_bytes >= kLarge ? kPage : AlignedBuffer::kAlignment;
}

std::uint64_t padded_size(std::uint64_t size_bytes) {
  const std::uint64_t alignment = blob_alignment(size_bytes);
  return (size_bytes + alignment - 1) / alignment * alignment;
}

Blob::Blob(AlignedBuffer buffer, std::uint64_t size_bytes)
    : owned_(std::move(buffer)), size_bytes_(size_bytes), verified_(true) {
  QHX_CHECK(owned_.size() == padded_size(size_bytes));
  padded_ = owned_.bytes();
}

Blob::Blob(std::span<const std::byte> padded, std::uint64_t size_bytes, std::uint64_t checksum)
    : padded_(padded), size_bytes_(size_bytes), checksum_(checksum) {
  std::call_once(hashed_, [] {});
}

std::uint64_t Blob::checksum() const {
  std::call_once(hashed_, [this] { checksum_ = xxh3_64(padded_); });
  return checksum_;
}

bool Blob::verify() const {
  if (verified()) return true;
  if (xxh3_64(padded_) != checksum_) return false;
  verified_.store(true, std::memory_order_release);
  return true;
}

AlignedBuffer blob_buffer(std::uint64_t size_bytes) {
  return AlignedBuffer(padded_size(size_bytes));
}

std::shared_ptr<const Blob> BlobStore::intern(std::shared_ptr<const Blob> blob) {
  const std::uint64_t checksum = blob->checksum();
  const std::lock_guard lock(mutex_);
  auto [it, end] = by_checksum_.equal_range(checksum);
  while (it != end) {
    const std::shared_ptr<const Blob> known = it->second.lock();
    if (known == nullptr) {
      it = by_checksum_.erase(it);
      continue;
    }
    const auto a = known->padded(), b = blob->padded();
    if (known->bytes().size() == blob->bytes().size() &&
        std::memcmp(a.data(), b.data(), a.size()) == 0)
      return known;
    ++it;
  }
  by_checksum_.emplace(checksum, blob);
  return blob;
}

}  // namespace qhx::cpu
