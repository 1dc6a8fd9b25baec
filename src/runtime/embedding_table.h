// The token embeddings: a mapped table of which only the rows in use are ever read.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "base/status.h"
#include "manifest/manifest.h"

namespace qhx::runtime {

// f16 [vocab, hidden]. Immutable and thread-safe. Where the manifest records checksums of blocks,
// each block is verified when it is first touched.
class EmbeddingTable {
 public:
  // kCorrupt if the file's size is not vocab * hidden * 2 bytes. `record` may be null.
  static Result<EmbeddingTable> open(const std::filesystem::path& path, std::size_t vocab,
                                     std::size_t hidden, const manifest::FileRecord* record);

  std::size_t vocab() const { return vocab_; }
  std::size_t hidden() const { return hidden_; }

  // The row of `id` as floats into out [hidden]. kOutOfRange for an id outside the table, kCorrupt
  // for a damaged block. Allocates only for messages.
  Status row(std::int32_t id, std::span<float> out) const;

 private:
  EmbeddingTable(MappedFile file, std::string name, std::size_t vocab, std::size_t hidden)
      : file_(std::move(file)), name_(std::move(name)), vocab_(vocab), hidden_(hidden) {}
  Status verify(std::size_t first_byte, std::size_t last_byte) const;

  MappedFile file_;
  std::string name_;
  std::size_t vocab_, hidden_;
  std::size_t block_bytes_ = 0;
  std::vector<std::uint64_t> block_xxh3_;
  std::unique_ptr<std::atomic<bool>[]> verified_;
};

}  // namespace qhx::runtime
