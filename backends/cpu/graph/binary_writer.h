// Writes a context binary.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/ir.h"

namespace qhx::cpu {

// A binary laid out, ready to be copied out: equal blobs are stored once, whichever graphs use
// them.
class BinaryImage {
 public:
  // The graphs are executable. Deterministic: the same graphs give the same bytes.
  BinaryImage(std::span<const std::shared_ptr<const Graph>> graphs, const std::string& build_id);

  std::uint64_t size_bytes() const { return size_bytes_; }
  // `to` has size_bytes().
  void write(std::span<std::byte> to) const;

 private:
  struct Section {
    std::shared_ptr<const Blob> blob;
    std::uint64_t offset;
  };
  std::vector<std::byte> head_;  // header, metadata and its padding
  std::vector<Section> sections_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace qhx::cpu
