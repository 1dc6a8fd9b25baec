// How much memory a bundle takes, from the descriptions of its context binaries.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/available_memory.h"
#include "base/status.h"
#include "qnn/binary_info.h"

namespace qhx::runtime {

// In bytes. Not in it: what a library keeps for itself, and the embedding table, of which only rows
// that are looked up come into memory.
struct MemoryNeed {
  std::uint64_t weights = 0;     // the context binaries
  std::uint64_t kv = 0;          // the cache of one session
  std::uint64_t io = 0;          // the graphs' other inputs and outputs
  std::uint64_t spill_fill = 0;  // intermediates outside the chip's own memory

  std::uint64_t total() const { return weights + kv + io + spill_fill; }
};

struct ContextSize {
  std::uint64_t file_bytes = 0;
  const qnn::BinaryInfo* info = nullptr;
};

MemoryNeed memory_need(std::span<const ContextSize> contexts);

// What decoder graphs keep for each token: the bytes of past_k_… and past_v_… divided by the
// cache's rows. Zero for graphs without a cache.
std::uint64_t kv_bytes_per_token(const qnn::GraphInfo& graph);

// kOutOfRange with both figures if the need is larger.
Status admit(const MemoryNeed& need, const AvailableMemory& available);

}  // namespace qhx::runtime
