#include "runtime/qnn_executor.h"

#include <string>

namespace qhx::runtime {

std::string_view name(Role role) {
  switch (role) {
    case Role::kVision:
      return "vision";
    case Role::kPrefill:
      return "prefill";
    case Role::kDecode:
      return "decode";
    case Role::kHead:
      return "lmhead";
  }
  return "?";
}

class QnnExecutor::Bound final : public BoundGraph {
 public:
  Bound(std::shared_ptr<Shared> shared, qnn::IoBinding binding)
      : shared_(std::move(shared)), binding_(std::move(binding)) {}
  Status execute() override {
    const std::lock_guard<std::mutex> lock(shared_->turn);
    return shared_->graph.execute(binding_);
  }

 private:
  std::shared_ptr<Shared> shared_;
  qnn::IoBinding binding_;
};

Result<std::unique_ptr<BoundGraph>> QnnExecutor::bind(std::span<const NamedBuffer> buffers) {
  qnn::IoBinding binding(info());
  for (const NamedBuffer& buffer : buffers) {
    const bool is_input = info().input(buffer.tensor) != nullptr;
    QHX_RETURN_IF_ERROR(is_input ? binding.bind_input(buffer.tensor, buffer.bytes)
                                 : binding.bind_output(buffer.tensor, buffer.bytes));
  }
  QHX_RETURN_IF_ERROR(binding.complete());
  binding.share(shared_->graph.context());
  return std::unique_ptr<BoundGraph>(std::make_unique<Bound>(shared_, std::move(binding)));
}

}  // namespace qhx::runtime
