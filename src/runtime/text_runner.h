// Runs the text graphs for one session: prefill chunks, decode steps, the head; keeps the KV cache.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "runtime/decoder_graph.h"

namespace qhx::runtime {

struct GraphRuns {
  std::size_t prefill = 0, decode = 0, head = 0;
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

  // The keys and values of tokens [first, first + count), which are cached. Same order for every
  // runner of a bundle.
  std::vector<std::span<std::byte>> rows(std::size_t first, std::size_t count);
  // Room for those of `count` further tokens, to be filled by the caller from what rows() gave
  // once; accept() then counts the tokens as cached. hidden() stays that of the last run.
  std::vector<std::span<std::byte>> room(std::size_t count);
  void accept(std::size_t count);

  // Graph `index` of spec().graphs, and the decode graph of the next step: that of the smallest
  // context that holds what is cached.
  DecoderGraph& graph(std::size_t index) { return *graphs_[index]; }
  DecoderGraph& decode() { return graph(spec_.decode_graph(cached_)); }

  // Runs what was put into the graph's rows. What is cached must fit into the graph's context, and
  // with the new rows into spec().context (QHX_CHECK).
  Status run(std::size_t graph, std::span<const Position> positions);
  Status run_decode(Position position) { return run(spec_.decode_graph(cached_), {&position, 1}); }

  // Makes hidden() that of row `row` of the last run, which was of `graph`.
  void use_row(std::size_t graph, std::size_t row);

  // The hidden state of the last token, after the final norm: [hidden].
  std::span<const float> hidden() const { return hidden_; }
  // The head on hidden(); logits [vocab] stay valid until the next call.
  Result<std::span<const float>> run_head();

  const GraphRuns& runs() const { return runs_; }
  void reset_runs() { runs_ = {}; }

 private:
  TextRunner(const TextSpec& spec, const qnn::TensorMemory& memory)
      : spec_(spec),
        cache_(spec.kv, memory),
        rotary_(spec.rope_theta, spec.mrope_section, spec.head_dim),
        hidden_(spec.hidden) {}
  Status create_head(GraphExecutor& executor, const qnn::TensorMemory& memory);

  TextSpec spec_;
  KvCache cache_;
  RotaryTable rotary_;
  std::size_t cached_ = 0;
  std::vector<std::unique_ptr<DecoderGraph>> graphs_;  // as spec_.graphs
  FloatTensor head_x_, logits_;
  std::unique_ptr<BoundGraph> head_;
  std::vector<float> hidden_;
  GraphRuns runs_;
};

}  // namespace qhx::runtime
