// What the runtime needs of graphs, so that tests can put scripted ones in their place.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/status.h"
#include "qnn/binary_info.h"

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
};

// Finds graphs by role. Thread-safe.
class GraphProvider {
 public:
  virtual ~GraphProvider() = default;
  // Null if there is none.
  virtual const qnn::GraphInfo* info(Role role) const = 0;
  // Loads what is needed when it is first asked for. kNotFound if there is no such graph.
  virtual Result<std::shared_ptr<GraphExecutor>> open(Role role) = 0;
};

}  // namespace qhx::runtime
