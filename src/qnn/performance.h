// Votes for a fast device: as long as one is held, its clocks do not go down between calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "qnn/library.h"

namespace qhx::qnn {

// Holds a vote from the device's driver for its lifetime. Thread-safe.
class PerformanceControl {
 public:
  // Null if the library has no such votes, as those for CPUs.
  static std::shared_ptr<PerformanceControl> create(std::shared_ptr<const BackendLibrary> library);
  ~PerformanceControl();
  PerformanceControl(const PerformanceControl&) = delete;
  PerformanceControl& operator=(const PerformanceControl&) = delete;

 private:
  friend class PerformanceVote;
  PerformanceControl(std::shared_ptr<const BackendLibrary> library,
                     const QnnHtpDevice_PerfInfrastructure_t& driver, std::uint32_t id)
      : library_(std::move(library)), driver_(driver), id_(id) {}
  void acquire();
  void release();
  void set(bool fast);

  std::shared_ptr<const BackendLibrary> library_;
  const QnnHtpDevice_PerfInfrastructure_t& driver_;
  const std::uint32_t id_;
  std::mutex mutex_;
  std::size_t holders_ = 0;
};

// Asks for full speed while it lives; the device slows down when the last vote is gone. Move-only.
class PerformanceVote {
 public:
  PerformanceVote() = default;  // asks for nothing
  explicit PerformanceVote(std::shared_ptr<PerformanceControl> control)
      : control_(std::move(control)) {
    if (control_ != nullptr) control_->acquire();
  }
  PerformanceVote(PerformanceVote&&) = default;
  PerformanceVote& operator=(PerformanceVote&&) = delete;
  ~PerformanceVote() {
    if (control_ != nullptr) control_->release();
  }

 private:
  std::shared_ptr<PerformanceControl> control_;
};

}  // namespace qhx::qnn
