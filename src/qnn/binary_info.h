// What a context binary says about itself, read through the system library, copied into our own
// types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "qnn/library.h"
#include "qnn/tensor.h"

namespace qhx::qnn {

// How a graph was prepared for an HTP.
struct HtpGraphFacts {
  std::uint64_t spill_fill_bytes = 0;  // memory beside VTCM that intermediates need
  std::uint32_t vtcm_bytes = 0;
  std::uint32_t optimization = 0;  // O level
  bool dlbc = false;
  std::uint64_t hvx_threads = 0;  // 0: as many as there are
  // Of the weights that this graph shares with others of its context; 0: it shares none. Absent:
  // not recorded.
  std::optional<std::uint64_t> shared_weight_bytes = std::nullopt;
  // Of those that it has for itself; recorded together with the shared ones.
  std::uint64_t own_weight_bytes = 0;
};

struct GraphInfo {
  std::string name;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::optional<HtpGraphFacts> htp = std::nullopt;  // absent: not recorded, or no HTP graph

  // Null if there is none of that name.
  const TensorInfo* input(std::string_view tensor) const;
  const TensorInfo* output(std::string_view tensor) const;
};

struct BinaryInfo {
  std::uint32_t backend_id = 0;
  std::string build_id;         // of the library that made it, "v2.51.0.…"
  std::string core_api;         // "2.40.0"
  std::string backend_api;      // "5.51.0"
  std::string format;           // version of the binary's format, "4.0.6"
  std::uint32_t soc_model = 0;  // 0: not recorded
  std::uint32_t dsp_arch = 0;   // 75, 79, 81 …; 0: not recorded
  std::vector<GraphInfo> graphs;

  const GraphInfo* graph(std::string_view name) const;
};

// Whether these bytes begin like a binary of our own CPU library; others are told by their system
// library alone.
bool is_qhx_cpu_binary(std::span<const std::byte> binary);

// Memory held for the tensors between the operations of its graphs; graphs of one context take
// turns, so they share it.
std::uint64_t spill_fill_bytes(const BinaryInfo& binary);

// Whether graphs of the binary share weights, or may: binaries of several graphs do not always
// tell.
bool may_share_weights(const BinaryInfo& binary);

// The bytes are only read, and may be an untouched mapping: libraries look at the metadata, not at
// the weights.
Result<BinaryInfo> read_binary_info(const SystemLibrary& library,
                                    std::span<const std::byte> binary);

}  // namespace qhx::qnn
