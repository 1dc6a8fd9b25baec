#include "graph/linear_bias.h"

#include <cstring>

namespace qhx::cpu {

int add_padded_bias(Graph& graph, int bias, std::uint64_t n, const ConstantTools& tools) {
  const Tensor& source = graph.tensors[static_cast<std::size_t>(bias)];
  const std::shared_ptr<const Blob> values = source.constant->as_f32(tools);
  const std::size_t padded = padded_channels(n);
  AlignedBuffer buffer = blob_buffer(padded * sizeof(float));
  std::memcpy(buffer.data(), values->data(), n * sizeof(float));
  Tensor tensor;
  tensor.name = source.name;
  tensor.role = Role::kStatic;
  tensor.dims = {static_cast<std::uint32_t>(padded)};
  tensor.blob =
      tools.blobs.intern(std::make_shared<Blob>(std::move(buffer), padded * sizeof(float)));
  graph.tensors.push_back(std::move(tensor));
  return static_cast<int>(graph.tensors.size()) - 1;
}

}  // namespace qhx::cpu
