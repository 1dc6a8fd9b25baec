#include "bench/observed_graphs.h"

#include "engine/stopwatch.h"

namespace qhx::bench {
namespace {

using engine::Stopwatch;

class ObservedGraph final : public runtime::BoundGraph {
 public:
  ObservedGraph(std::unique_ptr<runtime::BoundGraph> inner, RoleTime& time)
      : inner_(std::move(inner)), time_(time) {}
  Status execute() override {
    const Stopwatch watch;
    Status status = inner_->execute();
    time_.ms += watch.ms();
    ++time_.runs;
    return status;
  }

 private:
  std::unique_ptr<runtime::BoundGraph> inner_;
  RoleTime& time_;
};

class ObservedExecutor final : public runtime::GraphExecutor {
 public:
  ObservedExecutor(std::shared_ptr<runtime::GraphExecutor> inner, RoleTime& time)
      : inner_(std::move(inner)), time_(time) {}
  const qnn::GraphInfo& info() const override { return inner_->info(); }
  Result<std::unique_ptr<runtime::BoundGraph>> bind(
      std::span<const runtime::NamedBuffer> buffers) override {
    QHX_ASSIGN_OR_RETURN(auto bound, inner_->bind(buffers));
    return std::unique_ptr<runtime::BoundGraph>(
        std::make_unique<ObservedGraph>(std::move(bound), time_));
  }

 private:
  std::shared_ptr<runtime::GraphExecutor> inner_;
  RoleTime& time_;
};

}  // namespace

Result<std::shared_ptr<runtime::GraphExecutor>> ObservedGraphs::open(runtime::Role role,
                                                                     std::size_t index) {
  QHX_ASSIGN_OR_RETURN(auto executor, inner_->open(role, index));
  return std::shared_ptr<runtime::GraphExecutor>(
      std::make_shared<ObservedExecutor>(std::move(executor), times_.of(role)));
}

}  // namespace qhx::bench
