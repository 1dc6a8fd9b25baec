#include "runtime/memory_need.h"

#include <algorithm>
#include <cstdio>

namespace qhx::runtime {
namespace {

bool is_cache(const qnn::TensorInfo& tensor) {
  return tensor.name.starts_with("past_k_") || tensor.name.starts_with("past_v_");
}

std::uint64_t cache_bytes(const qnn::GraphInfo& graph) {
  std::uint64_t bytes = 0;
  for (const qnn::TensorInfo& input : graph.inputs)
    bytes += is_cache(input) ? input.size_bytes() : 0;
  return bytes;
}

std::uint64_t io_bytes(const qnn::GraphInfo& graph) {
  std::uint64_t bytes = 0;
  for (const qnn::TensorInfo& input : graph.inputs)
    bytes += is_cache(input) ? 0 : input.size_bytes();
  for (const qnn::TensorInfo& output : graph.outputs) bytes += output.size_bytes();
  return bytes;
}

// The mask has a column for each row of the cache and of the call.
std::uint64_t cache_rows(const qnn::GraphInfo& graph) {
  const qnn::TensorInfo *mask = graph.input("mask"), *x = graph.input("x");
  if (mask == nullptr || x == nullptr || mask->dims.empty() || x->dims.empty()) return 0;
  const std::uint64_t rows = x->element_count() / x->dims.back(), columns = mask->dims.back();
  return columns > rows ? columns - rows : 0;
}

std::string megabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

}  // namespace

MemoryNeed memory_need(std::span<const ContextSize> contexts) {
  MemoryNeed need;
  for (const ContextSize& context : contexts) {
    need.weights += context.file_bytes;
    need.spill_fill += qnn::spill_fill_bytes(*context.info);
    for (const qnn::GraphInfo& graph : context.info->graphs) {
      need.io += io_bytes(graph);
      need.kv = std::max(need.kv, cache_bytes(graph));  // graphs over one cache take turns
    }
  }
  return need;
}

std::uint64_t kv_bytes_per_token(const qnn::GraphInfo& graph) {
  const std::uint64_t rows = cache_rows(graph);
  return rows == 0 ? 0 : cache_bytes(graph) / rows;
}

Status admit(const MemoryNeed& need, const AvailableMemory& available) {
  if (need.total() <= available.bytes) return {};
  return out_of_range("not enough memory: the bundle needs " + megabytes(need.total()) +
                      " (weights " + megabytes(need.weights) + ", cache " + megabytes(need.kv) +
                      ", inputs and outputs " + megabytes(need.io) + ", spill " +
                      megabytes(need.spill_fill) + "), " + megabytes(available.bytes) +
                      " are available in " + available.limited_by +
                      "; end other programs, use a bundle of shorter context or smaller weights, "
                      "or load it all the same with --allow-low-memory");
}

}  // namespace qhx::runtime
