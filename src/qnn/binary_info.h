// What a context binary says about itself, read through the system library, copied into our own
// types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "qnn/library.h"
#include "qnn/tensor.h"

namespace qhx::qnn {

struct GraphInfo {
  std::string name;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;

  // Null if there is none of that name.
  const TensorInfo* input(std::string_view tensor) const;
  const TensorInfo* output(std::string_view tensor) const;
};

struct BinaryInfo {
  std::uint32_t backend_id = 0;
  std::string build_id;         // of the library that made it, "v2.51.0.…"
  std::uint32_t soc_model = 0;  // 0: not recorded
  std::uint32_t dsp_arch = 0;   // 75, 79, 81 …; 0: not recorded
  std::vector<GraphInfo> graphs;

  const GraphInfo* graph(std::string_view name) const;
};

// The bytes are only read, and may be an untouched mapping: libraries look at the metadata, not at
// the weights.
Result<BinaryInfo> read_binary_info(const SystemLibrary& library,
                                    std::span<const std::byte> binary);

}  // namespace qhx::qnn
