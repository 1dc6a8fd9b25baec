#include "forge/arch/run_graph.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "base/f16.h"

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
  } else if (tensor.type == QNN_DATATYPE_INT_8) {
    std::transform(padded.begin(), padded.end(), bytes.begin(), [](float value) {
      return static_cast<std::byte>(static_cast<std::int8_t>(value));
    });
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
  } else if (tensor.type == QNN_DATATYPE_INT_8) {
    std::transform(bytes.begin(), bytes.end(), values.begin(), [](std::byte value) {
      return static_cast<float>(static_cast<std::int8_t>(value));
    });
  } else {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  return values;
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

}  // namespace qhx::forge
