// Zero-filled memory, aligned for vector loads and for sharing with a device.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace qhx {

// Move-only. Aligned to 64 bytes. Large ones are mappings of their own: untouched zero pages, and
// given back to the system at once when freed, which malloc does not promise.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size_bytes) : size_(size_bytes) {
    if (size_bytes == 0) return;
    if (size_bytes >= kOwnMapping) {
      void* pages =
          mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (pages == MAP_FAILED) throw std::bad_alloc();
      base_ = {pages, Free{size_bytes}};
      data_ = static_cast<std::byte*>(pages);
      return;
    }
    const std::size_t room = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
    // The slack keeps the aligned part inside.
    base_ = {std::calloc(room + kAlignment, 1), Free{}};
    if (base_ == nullptr) throw std::bad_alloc();
    void* aligned = base_.get();
    std::size_t space = room + kAlignment;
    data_ = static_cast<std::byte*>(std::align(kAlignment, room, aligned, space));
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  template <typename T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
  }
  template <typename T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), size_ / sizeof(T)};
  }

 private:
  static constexpr std::size_t kOwnMapping = std::size_t{1} << 20;

  struct Free {
    Free() : mapped_bytes(0) {}
    explicit Free(std::size_t bytes) : mapped_bytes(bytes) {}
    std::size_t mapped_bytes;  // 0: from malloc
    void operator()(void* p) const {
      if (mapped_bytes == 0) {
        std::free(p);
      } else {
        munmap(p, mapped_bytes);
      }
    }
  };
  std::unique_ptr<void, Free> base_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace qhx
