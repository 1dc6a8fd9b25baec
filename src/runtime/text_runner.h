// Runs the text graphs for one session: prefill chunks, decode steps, the head; keeps the KV cache.
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

struct GraphRuns {
  std::size_t prefill = 0, decode = 0, head = 0;
};

// A decoder graph with buffers of its own, bound to a cache.
class DecoderGraph {
 public:
  // rows: T. `has_past`: the cache is an input.
  static Result<std::unique_ptr<DecoderGraph>> create(GraphExecutor& executor, const TextSpec& spec,
                                                      std::size_t rows, bool has_past,
                                                      std::size_t deepstack, KvCache& cache);

  // Row r of the input, to be filled before run().
  std::span<float> x(std::size_t row) { return x_.floats().subspan(row * hidden_, hidden_); }
  std::span<float> deepstack(std::size_t k, std::size_t row) {
    return deepstack_[k].floats().subspan(row * hidden_, hidden_);
  }
  std::size_t deepstack_count() const { return deepstack_.size(); }
  // Marks the deepstack rows as not all zero: they are converted by run() and zero again after it.
  void use_deepstack() { deepstack_dirty_ = true; }

  // Runs the first `positions.size()` rows on top of `cached` tokens and writes their keys and
  // values to the cache. The rest of the rows is padding. Allocates nothing.
  Status run(std::span<const Position> positions, std::size_t cached, const RotaryTable& rotary);

  // Row r of y, valid after run().
  std::span<const float> y(std::size_t row) {
    y_.load(row * hidden_, hidden_);
    return y_.floats().subspan(row * hidden_, hidden_);
  }

 private:
  DecoderGraph() = default;
  void fill_mask(std::size_t count, std::size_t cached);
  void fill_rotary(std::span<const Position> positions, const RotaryTable& rotary);

  std::size_t hidden_ = 0, rows_ = 0, past_ = 0, layers_ = 0, table_width_ = 0;
  FloatTensor x_, cos_, sin_, mask_, y_;
  std::vector<FloatTensor> deepstack_;
  bool deepstack_dirty_ = false;
  std::vector<AlignedBuffer> new_rows_;  // new_k_0, new_v_0, new_k_1 …
  KvCache* cache_ = nullptr;
  std::unique_ptr<BoundGraph> graph_;
};

// Not movable: graphs are bound to the cache's memory. One thread. After creation nothing
// allocates.
class TextRunner {
 public:
  static Result<std::unique_ptr<TextRunner>> create(const TextSpec& spec, GraphProvider& graphs);

  const TextSpec& spec() const { return spec_; }

  // Tokens in the cache; at most spec().context.
  std::size_t cached() const { return cached_; }
  // Forgets all but the first `count` tokens.
  void truncate(std::size_t count);

  // Null if the bundle has no prefill graph.
  DecoderGraph* prefill() { return prefill_.get(); }
  DecoderGraph& decode() { return *decode_; }

  // Runs what was put into the graph's rows; they must fit into the cache (QHX_CHECK).
  Status run_prefill(std::span<const Position> positions);
  Status run_decode(Position position);

  // The hidden state of the last token, after the final norm: [hidden].
  std::span<const float> hidden() const { return hidden_; }
  // The head on hidden(); logits [vocab] stay valid until the next call.
  Result<std::span<const float>> run_head();

  const GraphRuns& runs() const { return runs_; }
  void reset_runs() { runs_ = {}; }

 private:
  explicit TextRunner(const TextSpec& spec)
      : spec_(spec),
        cache_(spec.kv),
        rotary_(spec.rope_theta, spec.mrope_section, spec.head_dim),
        hidden_(spec.hidden) {}
  Status run(DecoderGraph& graph, std::span<const Position> positions);
  Status create_head(GraphExecutor& executor);

  TextSpec spec_;
  KvCache cache_;
  RotaryTable rotary_;
  std::size_t cached_ = 0;
  std::unique_ptr<DecoderGraph> prefill_, decode_;
  FloatTensor head_x_, logits_;
  std::unique_ptr<BoundGraph> head_;
  std::vector<float> hidden_;
  GraphRuns runs_;
};

}  // namespace qhx::runtime
