#include "runtime/kv_cache.h"

#include <cstring>

#include "base/check.h"

namespace qhx::runtime {

void KvCache::write(std::size_t layer, Kind kind, std::span<const std::byte> source,
                    std::size_t source_rows, std::size_t at, std::size_t count) {
  QHX_CHECK(count <= source_rows && at + count <= shape_.rows);
  QHX_CHECK(source.size() == shape_.kv_heads * source_rows * shape_.head_bytes);
  std::byte* to = tensor(layer, kind).data();
  if (shape_.layout == KvLayout::kTokenMajor) {
    const std::size_t row = shape_.kv_heads * shape_.head_bytes;
    std::memcpy(to + at * row, source.data(), count * row);
    return;
  }
  const std::size_t row = shape_.head_bytes;
  for (std::size_t head = 0; head < shape_.kv_heads; ++head) {
    std::memcpy(to + (head * shape_.rows + at) * row, source.data() + head * source_rows * row,
                count * row);
  }
}

}  // namespace qhx::runtime
