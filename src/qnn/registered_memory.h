// Which memory a context's device has mapped, so that no tensor is mapped twice.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "qnn/tensor.h"

namespace qhx::qnn {

// One context's registrations. They refer to it, so it outlives them. Thread-safe.
class RegisteredMemory {
 public:
  // A registered tensor; what is in it may be handed to graphs of the context until the last
  // reference is gone, which ends the registration.
  using Handle = std::shared_ptr<void>;

  RegisteredMemory(const QnnInterface_ImplementationV2_t& api, const Qnn_ContextHandle_t& context)
      : api_(api), context_(context) {}

  // Memory at `data` with the descriptor `fd`, as a tensor like `info`. The same handle for the
  // same memory, dimensions and type. kUnsupported once the library has said that it maps none.
  Result<Handle> add(const TensorInfo& info, const std::byte* data, int fd);

 private:
  using Key = std::tuple<const std::byte*, std::vector<std::uint32_t>, Qnn_DataType_t>;
  void remove(const Key& key, Qnn_MemHandle_t handle);

  const QnnInterface_ImplementationV2_t& api_;
  const Qnn_ContextHandle_t& context_;
  std::mutex mutex_;
  bool supported_ = true;
  std::map<Key, std::weak_ptr<void>> handles_;
};

}  // namespace qhx::qnn
