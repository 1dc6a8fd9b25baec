// Test support: runs a model's graphs in the process that built them, as a runtime would.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "forge/hf/config.h"
#include "qnn/context.h"

namespace qhx::forge {

using FloatTensors = std::map<std::string, std::vector<float>>;

// Executes a graph on float values, converted to and from its tensors' types (FLOAT_32, FLOAT_16).
// Inputs that `inputs` lacks are zero.
Result<FloatTensors> run_graph(const qnn::Graph& graph, const FloatTensors& inputs);

// Of two lists of the same length (QHX_CHECK); NaN if one has nothing but zeros.
double cosine(std::span<const float> a, std::span<const float> b);

// Feeds prompts chunk by chunk and keeps the KV cache [G, C, D] of each layer.
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
