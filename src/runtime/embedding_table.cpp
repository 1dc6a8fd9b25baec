#include "runtime/embedding_table.h"

#include <algorithm>

#include "base/f16.h"
#include "base/hash.h"

namespace qhx::runtime {

Result<EmbeddingTable> EmbeddingTable::open(const std::filesystem::path& path, std::size_t vocab,
                                            std::size_t hidden,
                                            const manifest::FileRecord* record) {
  QHX_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  const std::size_t expected = vocab * hidden * sizeof(std::uint16_t);
  if (file.size() != expected) {
    return corrupt(path.string() + ": expected " + std::to_string(expected) + " bytes (f16 [" +
                   std::to_string(vocab) + ", " + std::to_string(hidden) + "]), found " +
                   std::to_string(file.size()));
  }
  EmbeddingTable table(std::move(file), path.filename().string(), vocab, hidden);
  if (record != nullptr && !record->block_xxh3.empty()) {
    table.block_bytes_ = record->block_bytes;
    table.block_xxh3_ = record->block_xxh3;
    const std::size_t blocks = (expected + table.block_bytes_ - 1) / table.block_bytes_;
    if (blocks != table.block_xxh3_.size()) {
      return corrupt(table.name_ + ": " + std::to_string(blocks) +
                     " blocks, but the manifest has " + std::to_string(table.block_xxh3_.size()) +
                     " checksums");
    }
    table.verified_ = std::make_unique<std::atomic<bool>[]>(blocks);
  }
  return table;
}

Status EmbeddingTable::verify(std::size_t first_byte, std::size_t last_byte) const {
  for (std::size_t block = first_byte / block_bytes_; block <= last_byte / block_bytes_; ++block) {
    if (verified_[block].load(std::memory_order_acquire)) continue;
    const std::size_t begin = block * block_bytes_;
    const auto bytes = file_.bytes().subspan(begin, std::min(block_bytes_, file_.size() - begin));
    if (xxh3_64(bytes) != block_xxh3_[block]) {
      return corrupt(name_ + ": bytes " + std::to_string(begin) + " to " +
                     std::to_string(begin + bytes.size() - 1) +
                     " do not match the manifest's checksum; get the file again");
    }
    verified_[block].store(true, std::memory_order_release);
  }
  return {};
}

Status EmbeddingTable::row(std::int32_t id, std::span<float> out) const {
  QHX_CHECK(out.size() == hidden_);
  if (id < 0 || static_cast<std::size_t>(id) >= vocab_) {
    return out_of_range("token id " + std::to_string(id) + " is outside the vocabulary of " +
                        std::to_string(vocab_));
  }
  const std::size_t row_bytes = hidden_ * sizeof(std::uint16_t);
  const std::size_t begin = static_cast<std::size_t>(id) * row_bytes;
  if (verified_ != nullptr) QHX_RETURN_IF_ERROR(verify(begin, begin + row_bytes - 1));
  // A mapping begins at a page and rows have an even size, so the cast is aligned.
  f16_to_f32({reinterpret_cast<const std::uint16_t*>(file_.bytes().data() + begin), hidden_}, out);
  return {};
}

}  // namespace qhx::runtime
