// A graph of a QNN context as an executor.
#pragma once

#include <memory>
#include <mutex>

#include "qnn/context.h"
#include "runtime/executor.h"

namespace qhx::runtime {

class QnnExecutor final : public GraphExecutor {
 public:
  explicit QnnExecutor(qnn::Graph graph) : shared_(std::make_shared<Shared>(std::move(graph))) {}
  const qnn::GraphInfo& info() const override { return shared_->graph.info(); }
  Result<std::unique_ptr<BoundGraph>> bind(std::span<const NamedBuffer> buffers) override;

 private:
  struct Shared {
    explicit Shared(qnn::Graph g) : graph(std::move(g)) {}
    qnn::Graph graph;
    std::mutex turn;
  };
  class Bound;
  std::shared_ptr<Shared> shared_;
};

}  // namespace qhx::runtime
