// One decoder graph (prefill or decode) bound to buffers and to a session's cache.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "runtime/executor.h"
#include "runtime/float_tensor.h"
#include "runtime/kv_cache.h"
#include "runtime/rotary.h"
#include "runtime/text_spec.h"

namespace qhx::runtime {

// Position of one token on the three axes (time, height, width).
using Position = std::array<std::int32_t, 3>;

// What a call reads and writes besides the mask and the cache. It does not depend on the cache's
// size, so graphs that take the same rows share it.
struct CallBuffers {
  static Result<std::shared_ptr<CallBuffers>> create(const qnn::GraphInfo& graph,
                                                     const TextSpec& spec, std::size_t deepstack,
                                                     const qnn::TensorMemory& memory);
  // Whether the graph's tensors are like those of the graph that the buffers were made for.
  bool fit(const qnn::GraphInfo& graph) const;

  qnn::GraphInfo made_for;
  FloatTensor x, cos, sin, y;
  std::vector<FloatTensor> deepstack;
  bool deepstack_dirty = false;
  std::vector<qnn::TensorBuffer> new_rows;  // in the order of KvShape::kind_of
};

class DecoderGraph {
 public:
  // `known`: buffers of other graphs, which are used if they fit; new ones are added.
  static Result<std::unique_ptr<DecoderGraph>> create(
      GraphExecutor& executor, const TextSpec& spec, const DecoderShape& shape, KvCache& cache,
      std::vector<std::shared_ptr<CallBuffers>>& known, const qnn::TensorMemory& memory);

  // Row r of the input, to be filled before run().
  std::span<float> x(std::size_t row) {
    return buffers_->x.floats().subspan(row * hidden_, hidden_);
  }
  std::span<float> deepstack(std::size_t k, std::size_t row) {
    return buffers_->deepstack[k].floats().subspan(row * hidden_, hidden_);
  }
  std::size_t deepstack_count() const { return buffers_->deepstack.size(); }
  // Marks the deepstack rows as not all zero: they are converted by run() and zero again after it.
  void use_deepstack() { buffers_->deepstack_dirty = true; }

  // Runs the first `positions.size()` rows on top of `cached` tokens, which lie in the cache as the
  // graph reads them. The rest of the rows is padding. Allocates nothing.
  Status run(std::span<const Position> positions, std::size_t cached, const RotaryTable& rotary);
  // After run(): copies the keys and values of the first `count` rows to the cache's rows from `at`
  // on.
  void keep(std::size_t count, std::size_t at, KvCache& cache);

  // Row r of y, valid after run().
  std::span<const float> y(std::size_t row) {
    buffers_->y.load(row * hidden_, hidden_);
    return buffers_->y.floats().subspan(row * hidden_, hidden_);
  }
  const DecoderShape& shape() const { return shape_; }

 private:
  DecoderGraph() = default;
  Status bind(GraphExecutor& executor, const TextSpec& spec, KvCache& cache);
  void fill_mask(std::size_t count, std::size_t cached);
  void fill_rotary(std::span<const Position> positions, const RotaryTable& rotary);

  DecoderShape shape_;
  std::size_t hidden_ = 0, table_width_ = 0;
  std::shared_ptr<CallBuffers> buffers_;
  FloatTensor mask_;
  std::unique_ptr<BoundGraph> graph_;
};

}  // namespace qhx::runtime
