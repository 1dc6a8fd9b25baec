// The keys and values of a session's tokens, in the layout that the graphs read.
#pragma once

#include <cstddef>
#include <span>

#include "base/aligned_buffer.h"

namespace qhx::runtime {

enum class KvLayout {
  kTokenMajor,  // [rows, kv_heads * head_dim]
  kHeadMajor,   // [kv_heads, rows, head_dim]
};

struct KvShape {
  std::size_t layers = 0;
  std::size_t kv_heads = 0;
  std::size_t rows = 0;        // capacity in tokens
  std::size_t head_bytes = 0;  // head_dim elements
  KvLayout layout = KvLayout::kTokenMajor;

  std::size_t tensor_bytes() const { return kv_heads * rows * head_bytes; }
};

// One block of memory, zero at first and untouched until used. Rows are opaque bytes: the graphs
// write the same encoding that they read. Move-only, one thread.
class KvCache {
 public:
  enum Kind { kKey = 0, kValue = 1 };

  KvCache() = default;
  explicit KvCache(const KvShape& shape)
      : shape_(shape), memory_(shape.layers * 2 * stride(shape)) {}

  // What past_k_i or past_v_i is bound to.
  std::span<std::byte> tensor(std::size_t layer, Kind kind) {
    return memory_.bytes().subspan((2 * layer + kind) * stride(shape_), shape_.tensor_bytes());
  }

  // Copies the first `count` of `source_rows` new rows ([source_rows, kv_heads * head_dim] or
  // [kv_heads, source_rows, head_dim], as the layout says) to the rows from `at` on. They must fit.
  void write(std::size_t layer, Kind kind, std::span<const std::byte> source,
             std::size_t source_rows, std::size_t at, std::size_t count);

 private:
  // Tensors begin at cache lines.
  static std::size_t stride(const KvShape& shape) {
    constexpr std::size_t kAlign = AlignedBuffer::kAlignment;
    return (shape.tensor_bytes() + kAlign - 1) / kAlign * kAlign;
  }
  KvShape shape_;
  AlignedBuffer memory_;
};

}  // namespace qhx::runtime
