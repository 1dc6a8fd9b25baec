#include "runtime/kv_cache.h"

#include <cstring>

#include "base/check.h"

namespace qhx::runtime {

void KvCache::arrange(std::size_t rows, std::size_t filled) {
  QHX_CHECK(rows <= shape_.rows && filled <= rows && filled <= rows_);
  const std::size_t from = rows_;
  rows_ = rows;
  if (from == rows || shape_.layout == KvLayout::kTokenMajor || filled == 0) return;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    std::byte* base = tensors_[i].bytes().data();
    const std::size_t row = shape_.row_bytes(shape_.kind_of(i));
    // In place, so heads that move up go last first. Head 0 stays where it is.
    for (std::size_t k = 1; k < shape_.kv_heads; ++k) {
      const std::size_t head = rows > from ? shape_.kv_heads - k : k;
      std::memmove(base + head * rows * row, base + head * from * row, filled * row);
    }
  }
}

std::vector<std::span<std::byte>> KvCache::pieces(std::size_t first, std::size_t count) {
  QHX_CHECK(first + count <= rows_);
  std::vector<std::span<std::byte>> pieces;
  const bool by_head = shape_.layout == KvLayout::kHeadMajor;
  const std::size_t blocks = by_head ? shape_.kv_heads : 1;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::size_t row = shape_.row_bytes(shape_.kind_of(i)) * (by_head ? 1 : shape_.kv_heads);
    for (std::size_t block = 0; block < blocks; ++block)
      pieces.push_back(tensors_[i].bytes().subspan((block * rows_ + first) * row, count * row));
  }
  return pieces;
}

void KvCache::write(std::size_t i, std::span<const std::byte> source, std::size_t source_rows,
                    std::size_t at, std::size_t count) {
  QHX_CHECK(count <= source_rows && at + count <= rows_);
  QHX_CHECK(source.size() == shape_.tensor_bytes(shape_.kind_of(i), source_rows));
  std::byte* to = tensor(i).data();
  std::size_t row = shape_.row_bytes(shape_.kind_of(i));
  if (shape_.layout == KvLayout::kTokenMajor) {
    row *= shape_.kv_heads;
    std::memcpy(to + at * row, source.data(), count * row);
    return;
  }
  for (std::size_t head = 0; head < shape_.kv_heads; ++head) {
    std::memcpy(to + (head * rows_ + at) * row, source.data() + head * source_rows * row,
                count * row);
  }
}

}  // namespace qhx::runtime
