#include "graph/plan.h"

#include <algorithm>
#include <numeric>

#include "base/aligned_buffer.h"

namespace qhx::cpu {
namespace {

// Makes the output of a Reshape share the place of its input, or, if that is where a result goes,
// the input that of the output. Not if both belong to others.
void share_views(const Graph& graph, std::vector<int>& root) {
  const auto find = [&](int tensor) {
    while (root[static_cast<std::size_t>(tensor)] != tensor)
      tensor = root[static_cast<std::size_t>(tensor)];
    return tensor;
  };
  for (const Node& node : graph.nodes) {
    if (node.type != "Reshape" && node.type != "ExpandDims") continue;
    const int from = find(node.inputs[0]), to = find(node.outputs[0]);
    if (graph.tensors[static_cast<std::size_t>(to)].role == Role::kNative) {
      root[static_cast<std::size_t>(to)] = from;
    } else if (graph.tensors[static_cast<std::size_t>(from)].role == Role::kNative) {
      root[static_cast<std::size_t>(from)] = to;
    }
  }
  for (std::size_t i = 0; i < root.size(); ++i) root[i] = find(static_cast<int>(i));
}

struct Block {
  int tensor;
  std::uint64_t size = 0;
  std::size_t first = ~std::size_t{0}, last = 0;  // nodes during which it is alive
  std::uint64_t offset = 0;
};

// One block for each native root that a node touches.
std::vector<Block> live_blocks(const Graph& graph, const std::vector<int>& root) {
  std::vector<Block> by_tensor(graph.tensors.size());
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    Block& block = by_tensor[static_cast<std::size_t>(root[i])];
    constexpr std::uint64_t kAlign = AlignedBuffer::kAlignment;
    block.size =
        std::max(block.size, (graph.tensors[i].size_bytes() + kAlign - 1) / kAlign * kAlign);
  }
  const auto touch = [&](int tensor, std::size_t node) {
    if (tensor < 0) return;
    Block& block = by_tensor[static_cast<std::size_t>(root[static_cast<std::size_t>(tensor)])];
    block.first = std::min(block.first, node);
    block.last = std::max(block.last, node);
  };
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const int tensor : graph.nodes[n].inputs) touch(tensor, n);
    for (const int tensor : graph.nodes[n].outputs) touch(tensor, n);
  }
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < by_tensor.size(); ++i) {
    by_tensor[i].tensor = static_cast<int>(i);
    const bool native = graph.tensors[i].role == Role::kNative && root[i] == static_cast<int>(i);
    if (native && by_tensor[i].first <= by_tensor[i].last) blocks.push_back(by_tensor[i]);
  }
  return blocks;
}

// Lowest offset at which `block` overlaps none of `placed` (sorted by offset) that is alive with
// it.
std::uint64_t lowest_gap(const Block& block, const std::vector<Block>& placed) {
  std::uint64_t offset = 0;
  for (const Block& other : placed) {
    if (other.last < block.first || block.last < other.first) continue;
    if (other.offset >= offset + block.size) break;
    offset = std::max(offset, other.offset + other.size);
  }
  return offset;
}

}  // namespace

Result<MemoryPlan> plan_memory(const Graph& graph) {
  MemoryPlan plan;
  plan.root.resize(graph.tensors.size());
  std::iota(plan.root.begin(), plan.root.end(), 0);
  share_views(graph, plan.root);
  plan.arena_offset.assign(graph.tensors.size(), 0);

  std::vector<Block> blocks = live_blocks(graph, plan.root), placed;
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.size > b.size; });
  for (Block& block : blocks) {
    block.offset = lowest_gap(block, placed);
    plan.arena_offset[static_cast<std::size_t>(block.tensor)] = block.offset;
    plan.arena_bytes = std::max(plan.arena_bytes, block.offset + block.size);
    if (plan.arena_bytes > kMaxArenaBytes) {
      return out_of_range("graph '" + graph.name +
                          "': its intermediate tensors need more than 2^36 bytes");
    }
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), block,
                         [](const Block& a, const Block& b) { return a.offset < b.offset; }),
        block);
  }
  return plan;
}

}  // namespace qhx::cpu
