#include "forge/arch/graph_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/f16.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

std::vector<std::byte> encode(std::span<const float> values, const qnn::TensorInfo& tensor) {
  std::vector<float> padded(values.begin(), values.end());
  padded.resize(tensor.element_count());
  std::vector<std::byte> bytes(tensor.size_bytes());
  if (tensor.type == QNN_DATATYPE_FLOAT_16) {
    std::vector<std::uint16_t> halves(padded.size());
    f32_to_f16(padded, halves);
    std::memcpy(bytes.data(), halves.data(), bytes.size());
  } else {
    std::memcpy(bytes.data(), padded.data(), bytes.size());
  }
  return bytes;
}

std::vector<float> decode_values(const std::vector<std::byte>& bytes,
                                 const qnn::TensorInfo& tensor) {
  std::vector<float> values(tensor.element_count());
  if (tensor.type == QNN_DATATYPE_FLOAT_16) {
    std::vector<std::uint16_t> halves(values.size());
    std::memcpy(halves.data(), bytes.data(), bytes.size());
    f16_to_f32(halves, values);
  } else {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  return values;
}

// Row r sees the cache's filled rows and this call's rows up to itself. Rows past `used` are
// padding: they see themselves, so that no row is without a column.
std::vector<float> causal_mask(std::uint32_t rows, std::uint32_t context_rows,
                               std::uint32_t filled) {
  const std::size_t columns = context_rows + rows;
  std::vector<float> mask(rows * columns, -65504.0f);
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = mask.data() + r * columns;
    std::fill_n(row, filled, 0.0f);
    std::fill_n(row + context_rows, r + 1, 0.0f);
  }
  return mask;
}

}  // namespace

Result<FloatTensors> run_graph(const qnn::Graph& graph, const FloatTensors& inputs) {
  qnn::IoBinding binding(graph.info());
  std::map<std::string, std::vector<std::byte>> buffers;
  for (const qnn::TensorInfo& tensor : graph.info().inputs) {
    const auto given = inputs.find(tensor.name);
    auto& bytes = buffers[tensor.name];
    bytes = encode(given == inputs.end() ? std::span<const float>() : given->second, tensor);
    QHX_RETURN_IF_ERROR(binding.bind_input(tensor.name, bytes));
  }
  for (const qnn::TensorInfo& tensor : graph.info().outputs) {
    auto& bytes = buffers[tensor.name];
    bytes.resize(tensor.size_bytes());
    QHX_RETURN_IF_ERROR(binding.bind_output(tensor.name, bytes));
  }
  QHX_RETURN_IF_ERROR(binding.complete());
  QHX_RETURN_IF_ERROR(graph.execute(binding));
  FloatTensors out;
  for (const qnn::TensorInfo& tensor : graph.info().outputs)
    out[tensor.name] = decode_values(buffers[tensor.name], tensor);
  return out;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  QHX_CHECK(a.size() == b.size());
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return ab / std::sqrt(aa * bb);
}

TextGraphRunner::TextGraphRunner(const hf::ModelConfig& config, const qnn::Graph& prefill,
                                 const qnn::Graph& decode, std::uint32_t context_rows)
    : config_(config), prefill_(prefill), decode_(decode), context_rows_(context_rows) {
  const std::size_t size = context_rows * config.text.kv_width();
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    cache_["past_k_" + std::to_string(i)].resize(size);
    cache_["past_v_" + std::to_string(i)].resize(size);
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
    for (std::size_t g = 0; g < config_.text.n_kv_heads; ++g) {
      std::copy_n(fresh.data() + g * rows * head_dim, used * head_dim,
                  cache.data() + (g * context_rows_ + filled_) * head_dim);
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
