#include "qnn/tensor_memory.h"

#include <cstring>
#include <limits>
#include <map>
#include <mutex>

#include "base/log.h"
#include "qnn/library.h"

namespace qhx::qnn {

// The functions of the device's library, and the buffers that live.
struct TensorMemory::Device {
  using Alloc = void* (*)(int heap, std::uint32_t flags, int size);
  using Free = void (*)(void*);
  using ToDescriptor = int (*)(void*);
  static constexpr int kSystemHeap = 25;
  static constexpr std::uint32_t kDefaultFlags = 1;

  Alloc alloc = nullptr;
  Free free = nullptr;
  ToDescriptor to_descriptor = nullptr;
  std::mutex mutex;
  std::map<const std::byte*, int> descriptors;

  // Null if there is no memory, or none that can be mapped.
  std::byte* take(std::size_t size) {
    auto* data = static_cast<std::byte*>(alloc(kSystemHeap, kDefaultFlags, static_cast<int>(size)));
    if (data == nullptr) return nullptr;
    const int descriptor = to_descriptor(data);
    if (descriptor < 0) {
      free(data);
      return nullptr;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    descriptors[data] = descriptor;
    return data;
  }
  void give_back(std::byte* data) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      descriptors.erase(data);
    }
    free(data);
  }
};

TensorMemory TensorMemory::shared(const std::string& library) {
  TensorMemory memory;
  const auto object = SharedObject::open(library);
  if (!object.ok()) {
    log(LogLevel::kDebug, "no memory shared with a device: " + object.status().message());
    return memory;
  }
  auto device = std::make_shared<Device>();
  device->alloc = reinterpret_cast<Device::Alloc>(object->symbol("rpcmem_alloc"));
  device->free = reinterpret_cast<Device::Free>(object->symbol("rpcmem_free"));
  device->to_descriptor = reinterpret_cast<Device::ToDescriptor>(object->symbol("rpcmem_to_fd"));
  if (device->alloc == nullptr || device->free == nullptr || device->to_descriptor == nullptr) {
    log(LogLevel::kWarn, library + ": has no rpcmem_alloc, rpcmem_free and rpcmem_to_fd: tensors " +
                             "are copied to the device at every call");
    return memory;
  }
  memory.device_ = std::move(device);
  return memory;
}

TensorBuffer TensorMemory::allocate(std::size_t size_bytes) const {
  TensorBuffer buffer;
  buffer.size_ = size_bytes;
  if (device_ != nullptr && size_bytes > 0 && size_bytes <= std::numeric_limits<int>::max()) {
    if (std::byte* data = device_->take(size_bytes)) {
      std::memset(data, 0, size_bytes);
      buffer.shared_ = {data, [device = device_](std::byte* d) { device->give_back(d); }};
      return buffer;
    }
    log(LogLevel::kWarn, "no shared memory of " + std::to_string(size_bytes) +
                             " bytes: the tensor is copied to the device at every call");
  }
  buffer.plain_ = AlignedBuffer(size_bytes);
  return buffer;
}

int TensorMemory::descriptor(const std::byte* data) const {
  if (device_ == nullptr) return -1;
  const std::lock_guard<std::mutex> lock(device_->mutex);
  const auto found = device_->descriptors.find(data);
  return found == device_->descriptors.end() ? -1 : found->second;
}

}  // namespace qhx::qnn
