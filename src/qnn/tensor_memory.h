// Memory for tensors: shared with the device where the system offers that, plain otherwise.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/aligned_buffer.h"

namespace qhx::qnn {

// Zero at first, aligned to 64 bytes. Move-only; freed with the object, which may outlive its
// TensorMemory.
class TensorBuffer {
 public:
  TensorBuffer() = default;

  std::span<std::byte> bytes() { return {data(), size_}; }
  template <typename T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data()), size_ / sizeof(T)};
  }

 private:
  friend class TensorMemory;
  std::byte* data() { return shared_ != nullptr ? shared_.get() : plain_.data(); }
  AlignedBuffer plain_;
  std::shared_ptr<std::byte> shared_;
  std::size_t size_ = 0;
};

// Where buffers for graphs come from. Copies give from the same place. Thread-safe.
class TensorMemory {
 public:
  // The system's allocator of memory that CPU and DSP share, by the name its devices have it under.
  static constexpr const char* kDeviceLibrary = "libcdsprpc.so";

  TensorMemory() = default;  // plain memory
  // Memory shared through `library`; plain if there is no such library, as on a PC.
  static TensorMemory shared(const std::string& library = kDeviceLibrary);

  // Plain memory if there is no shared memory left.
  TensorBuffer allocate(std::size_t size_bytes) const;

  bool is_shared() const { return device_ != nullptr; }
  // The file descriptor by which a device maps the buffer that begins at `data`; -1 for other
  // memory.
  int descriptor(const std::byte* data) const;

 private:
  struct Device;
  std::shared_ptr<Device> device_;
};

}  // namespace qhx::qnn
