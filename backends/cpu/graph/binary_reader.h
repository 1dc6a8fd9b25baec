// Reads a context binary, trusting none of its bytes.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "graph/ir.h"

namespace qhx::cpu {

struct BinaryContents {
  std::string build_id;
  std::uint64_t file_bytes = 0;
  std::vector<std::shared_ptr<const Graph>> graphs;
};

// Graphs whose blobs refer to `bytes`, which must stay valid as long as they are used and be
// 64-byte aligned. Only header and metadata are read; blobs are checked before their first use
// (Blob::verify). The graphs are executable. kOutOfRange if the file is shorter than it says,
// kCorrupt for everything else that is wrong with it.
Result<BinaryContents> read_binary(std::span<const std::byte> bytes);

// The same without blobs: for a look at graphs and their edges. Header and metadata are enough.
Result<BinaryContents> read_binary_metadata(std::span<const std::byte> bytes);

}  // namespace qhx::cpu
