// Graphs that tell how long their executions took, whichever library runs them.
#pragma once

#include <array>
#include <memory>

#include "runtime/executor.h"

namespace qhx::bench {

inline constexpr std::array kRoles = {runtime::Role::kVision, runtime::Role::kPrefill,
                                      runtime::Role::kDecode, runtime::Role::kHead};

struct RoleTime {
  std::size_t runs = 0;
  double ms = 0;
};

// By role, in the order of kRoles. Written by the thread that executes.
struct RoleTimes {
  std::array<RoleTime, kRoles.size()> roles;
  RoleTime& of(runtime::Role role) { return roles[static_cast<std::size_t>(role)]; }
};

// Adds up in `times` what executions of the graphs of `inner` take. Both outlive what they open.
class ObservedGraphs final : public runtime::GraphProvider {
 public:
  ObservedGraphs(std::unique_ptr<runtime::GraphProvider> inner, RoleTimes& times)
      : inner_(std::move(inner)), times_(times) {}

  std::vector<const qnn::GraphInfo*> infos(runtime::Role role) const override {
    return inner_->infos(role);
  }
  Result<std::shared_ptr<runtime::GraphExecutor>> open(runtime::Role role,
                                                       std::size_t index) override;
  qnn::TensorMemory memory() const override { return inner_->memory(); }
  qnn::PerformanceVote performance_vote() const override { return inner_->performance_vote(); }

 private:
  std::unique_ptr<runtime::GraphProvider> inner_;
  RoleTimes& times_;
};

}  // namespace qhx::bench
