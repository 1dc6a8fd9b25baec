// Zero-filled memory, aligned for vector loads and for sharing with a device.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace qhx {

// Move-only. Aligned to 64 bytes; large ones come straight from the system as untouched zero pages.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size_bytes) : size_(size_bytes) {
    if (size_bytes == 0) return;
    const std::size_t room = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
    // calloc hands out fresh zero pages without touching them; the slack keeps the aligned part
    // inside.
    base_.reset(std::calloc(room + kAlignment, 1));
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
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> base_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace qhx
