// A graph of a QNN context as an executor.
#pragma once

#include <memory>
#include <mutex>

#include "base/mapped_file.h"
#include "qnn/context.h"
#include "runtime/executor.h"

namespace qhx::runtime {

class QnnExecutor final : public GraphExecutor {
 public:
  // `binary`, which outlives the executor, is what the graph's weights are read from as it runs.
  QnnExecutor(qnn::Graph graph, const MappedFile& binary)
      : shared_(std::make_shared<Shared>(std::move(graph))), binary_(binary) {}
  const qnn::GraphInfo& info() const override { return shared_->graph.info(); }
  Result<std::unique_ptr<BoundGraph>> bind(std::span<const NamedBuffer> buffers) override;
  // Weights that are used in place leave the process; the page cache keeps them.
  void rest() override { binary_.drop_resident(); }

 private:
  struct Shared {
    explicit Shared(qnn::Graph g) : graph(std::move(g)) {}
    qnn::Graph graph;
    std::mutex turn;
  };
  class Bound;
  std::shared_ptr<Shared> shared_;
  const MappedFile& binary_;
};

}  // namespace qhx::runtime
