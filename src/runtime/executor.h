// What the runtime needs of graphs, so that tests can put scripted ones in their place.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "qnn/binary_info.h"
#include "qnn/performance.h"
#include "qnn/tensor_memory.h"

namespace qhx::runtime {

// The parts that graphs play. A bundle without a prefill graph runs the prompt through decode.
enum class Role { kVision, kPrefill, kDecode, kHead };
std::string_view name(Role role);

struct NamedBuffer {
  std::string_view tensor;
  std::span<std::byte> bytes;
};

// A graph with all its inputs and outputs bound to memory. One thread at a time.
class BoundGraph {
 public:
  virtual ~BoundGraph() = default;
  // Reads the inputs, writes the outputs, blocks until done. Allocates nothing.
  virtual Status execute() = 0;
};

class GraphExecutor {
 public:
  virtual ~GraphExecutor() = default;
  virtual const qnn::GraphInfo& info() const = 0;
  // The buffers cover every input and output and outlive the result. Thread-safe; bound graphs of
  // one executor may execute from several threads, they take turns.
  virtual Result<std::unique_ptr<BoundGraph>> bind(std::span<const NamedBuffer> buffers) = 0;
  // The graph will not run for a while: memory that it can get back quickly may go until then.
  // Thread-safe, also beside an execution.
  virtual void rest() {}
};

// Finds graphs by role. Prefill and decode may have several, for different numbers of rows and of
// cache rows. Thread-safe.
class GraphProvider {
 public:
  virtual ~GraphProvider() = default;
  // Empty if there is none. The pointers stay valid as long as the provider.
  virtual std::vector<const qnn::GraphInfo*> infos(Role role) const = 0;
  // Graph `index` of infos(). Loads what is needed when it is first asked for. kNotFound if there
  // is no such graph.
  virtual Result<std::shared_ptr<GraphExecutor>> open(Role role, std::size_t index) = 0;

  // Where buffers to bind are best taken from.
  virtual qnn::TensorMemory memory() const { return {}; }
  // Stands for what runs the graphs: another text where results may be others.
  virtual std::string identity() const { return {}; }
  // To be held while graphs run one after the other.
  virtual qnn::PerformanceVote performance_vote() const { return {}; }

  // The first; null if there is none.
  const qnn::GraphInfo* info(Role role) const {
    const auto all = infos(role);
    return all.empty() ? nullptr : all[0];
  }
  Result<std::shared_ptr<GraphExecutor>> open(Role role) { return open(role, 0); }
};

}  // namespace qhx::runtime
