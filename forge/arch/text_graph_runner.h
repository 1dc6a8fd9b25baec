// Test support: the text graphs driven as a runtime would.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "forge/arch/run_graph.h"
#include "forge/hf/config.h"

namespace qhx::forge {

// Feeds prompts chunk by chunk and keeps the KV cache [G, C, D] of each layer, or, where the graphs
// have scales, [G, C, 1].
class TextGraphRunner {
 public:
  // The graphs' T is taken from their input x. Both must outlive the runner.
  TextGraphRunner(const hf::ModelConfig& config, const qnn::Graph& prefill,
                  const qnn::Graph& decode, std::uint32_t context_rows);

  // x [T, H], positions [3, T], deepstack [k][T, H]. Returns y [T, H].
  Result<std::vector<float>> prefill(std::span<const float> x,
                                     std::span<const std::int32_t> positions,
                                     const std::vector<std::vector<float>>& deepstack);
  // x [1, H] at one position on all axes.
  Result<std::vector<float>> decode(std::span<const float> x, std::int32_t position);

 private:
  Result<std::vector<float>> call(const qnn::Graph& graph, std::span<const float> x,
                                  std::span<const std::int32_t> positions,
                                  const std::vector<std::vector<float>>& deepstack);

  const hf::ModelConfig& config_;
  const qnn::Graph& prefill_;
  const qnn::Graph& decode_;
  std::uint32_t context_rows_;
  std::uint32_t filled_ = 0;  // rows of the cache
  FloatTensors cache_;        // by input name
};

}  // namespace qhx::forge
