#include "qnn/registered_memory.h"

#include "qnn/error.h"
#include "qnn/log.h"

namespace qhx::qnn {

Result<RegisteredMemory::Handle> RegisteredMemory::add(const TensorInfo& info,
                                                       const std::byte* data, int fd) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!supported_) return unsupported("the library maps no memory");
  Key key{data, info.dims, info.type};
  if (const auto known = handles_.find(key); known != handles_.end()) {
    if (Handle handle = known->second.lock()) return handle;
  }
  std::vector<std::uint32_t> dims = info.dims;
  Qnn_MemDescriptor_t descriptor{};
  descriptor.memShape = {static_cast<std::uint32_t>(dims.size()), dims.data(), nullptr};
  descriptor.dataType = info.type;
  descriptor.memType = QNN_MEM_TYPE_ION;
  descriptor.ionInfo.fd = fd;
  Qnn_MemHandle_t registered = nullptr;
  const Qnn_ErrorHandle_t code = api_.memRegister(context_, &descriptor, 1, &registered);
  if (code == QNN_COMMON_ERROR_NOT_SUPPORTED) {
    take_recent_errors();
    supported_ = false;
    return unsupported("the library maps no memory");
  }
  QHX_RETURN_IF_ERROR(check(code, "memRegister of tensor " + info.name));
  Handle handle(registered, [this, key](void* h) { remove(key, h); });
  handles_[std::move(key)] = handle;
  return handle;
}

void RegisteredMemory::remove(const Key& key, Qnn_MemHandle_t handle) {
  const std::lock_guard<std::mutex> lock(mutex_);
  api_.memDeRegister(&handle, 1);
  // Another thread may have registered the same anew.
  if (const auto known = handles_.find(key); known != handles_.end() && known->second.expired())
    handles_.erase(known);
}

}  // namespace qhx::qnn
