#include "forge/arch/text_graph_runner.h"

#include <algorithm>

#include "vision/positions.h"

namespace qhx::forge {

TextGraphRunner::TextGraphRunner(const hf::ModelConfig& config, const qnn::Graph& prefill,
                                 const qnn::Graph& decode, std::uint32_t context_rows)
    : config_(config), prefill_(prefill), decode_(decode), context_rows_(context_rows) {
  for (const qnn::TensorInfo& input : decode.info().inputs) {
    if (input.name.starts_with("past_")) cache_[input.name].resize(input.element_count());
  }
}

Result<std::vector<float>> TextGraphRunner::call(const qnn::Graph& graph, std::span<const float> x,
                                                 std::span<const std::int32_t> positions,
                                                 const std::vector<std::vector<float>>& deepstack) {
  const std::uint32_t rows = graph.info().input("x")->dims[0];
  const std::size_t used = positions.size() / 3, head_dim = config_.text.head_dim;
  FloatTensors inputs = cache_;
  inputs["x"].assign(x.begin(), x.end());
  std::vector<float>&cos = inputs["cos"], &sin = inputs["sin"];
  cos.resize(used * head_dim / 2);
  sin.resize(cos.size());
  vision::fill_mrope(positions, config_.text.rope_theta, config_.text.mrope_section, head_dim, cos,
                     sin);
  inputs["mask"] = causal_mask(rows, context_rows_, filled_);
  for (std::size_t k = 0; k < deepstack.size(); ++k)
    inputs["deepstack_" + std::to_string(k)] = deepstack[k];
  QHX_ASSIGN_OR_RETURN(FloatTensors outputs, run_graph(graph, inputs));
  for (auto& [name, cache] : cache_) {
    const std::vector<float>& fresh = outputs["new" + name.substr(4)];
    const std::size_t width = fresh.size() / (config_.text.n_kv_heads * rows);
    for (std::size_t g = 0; g < config_.text.n_kv_heads; ++g) {
      std::copy_n(fresh.data() + g * rows * width, used * width,
                  cache.data() + (g * context_rows_ + filled_) * width);
    }
  }
  filled_ += static_cast<std::uint32_t>(used);
  std::vector<float> y = std::move(outputs["y"]);
  y.resize(used * config_.text.hidden_size);
  return y;
}

Result<std::vector<float>> TextGraphRunner::prefill(
    std::span<const float> x, std::span<const std::int32_t> positions,
    const std::vector<std::vector<float>>& deepstack) {
  const std::size_t chunk = prefill_.info().input("x")->dims[0];
  const std::size_t hidden = config_.text.hidden_size, count = positions.size() / 3;
  std::vector<float> y;
  for (std::size_t first = 0; first < count; first += chunk) {
    const std::size_t rows = std::min(chunk, count - first);
    std::vector<std::int32_t> ids;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const auto part = positions.subspan(axis * count + first, rows);
      ids.insert(ids.end(), part.begin(), part.end());
    }
    std::vector<std::vector<float>> features;
    for (const auto& all : deepstack) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * hidden);
      features.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(rows * hidden));
    }
    QHX_ASSIGN_OR_RETURN(const std::vector<float> part,
                         call(prefill_, x.subspan(first * hidden, rows * hidden), ids, features));
    y.insert(y.end(), part.begin(), part.end());
  }
  return y;
}

Result<std::vector<float>> TextGraphRunner::decode(std::span<const float> x,
                                                   std::int32_t position) {
  const std::int32_t ids[3] = {position, position, position};
  return call(decode_, x, ids, {});
}

}  // namespace qhx::forge
