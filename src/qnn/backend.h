// A backend with its log and device: the root that contexts are made from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "qnn/library.h"
#include "qnn/node_times.h"
#include "qnn/performance.h"
#include "qnn/tensor_memory.h"

namespace qhx::qnn {

struct BackendOptions {
  std::uint32_t soc_model =
      0;  // HTP on x86: which chip to prepare for (57, 69, 87 …); 0: the library's default
  int threads = 0;            // our CPU library: threads to use; 0: as many as the process may use
  std::string kernel_target;  // our CPU library: kernel set to force; empty: the best one
  bool node_times = false;    // collect what the nodes of graphs take, if the library tells
};

// Immutable after creation; contexts hold a shared reference, so it outlives them.
class Backend {
 public:
  static Result<std::shared_ptr<const Backend>> create(
      std::shared_ptr<const BackendLibrary> library, const BackendOptions& options = {});
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  const BackendLibrary& library() const { return *library_; }
  const QnnInterface_ImplementationV2_t& api() const { return library_->api(); }
  Qnn_BackendHandle_t handle() const { return backend_; }
  Qnn_DeviceHandle_t device() const { return device_; }
  // Where the inputs and outputs of its graphs lie best.
  const TensorMemory& memory() const { return memory_; }
  // Null unless they were asked for and the library tells them.
  NodeTimes* node_times() const { return node_times_.get(); }
  PerformanceVote performance_vote() const { return PerformanceVote(performance_); }

 private:
  explicit Backend(std::shared_ptr<const BackendLibrary> library) : library_(std::move(library)) {}
  Status create_log();
  Status create_backend(const BackendOptions& options);
  Status create_device(const BackendOptions& options);

  std::shared_ptr<const BackendLibrary> library_;
  Qnn_LogHandle_t log_ = nullptr;
  Qnn_BackendHandle_t backend_ = nullptr;
  Qnn_DeviceHandle_t device_ = nullptr;
  TensorMemory memory_;
  std::unique_ptr<NodeTimes> node_times_;
  std::shared_ptr<PerformanceControl> performance_;  // null: the library has none
};

}  // namespace qhx::qnn
