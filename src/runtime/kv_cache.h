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

  std::size_t tensor_bytes(std::size_t for_rows) const { return kv_heads * for_rows * head_bytes; }
};

// One block of memory for the largest number of rows, zero at first and untouched until used.
// Graphs with fewer cache rows read the beginning of each tensor's place: there the rows lie as
// arrange() was last told. Rows are opaque bytes: the graphs write the same encoding that they
// read. Move-only, one thread; nothing allocates but the constructor.
class KvCache {
 public:
  enum Kind { kKey = 0, kValue = 1 };

  KvCache() = default;
  explicit KvCache(const KvShape& shape)
      : shape_(shape), rows_(shape.rows), memory_(shape.layers * 2 * stride(shape)) {}

  // What past_k_i or past_v_i of a graph with `rows` cache rows is bound to.
  std::span<std::byte> tensor(std::size_t layer, Kind kind, std::size_t rows) {
    return memory_.bytes().subspan((2 * layer + kind) * stride(shape_), shape_.tensor_bytes(rows));
  }
  std::span<std::byte> tensor(std::size_t layer, Kind kind) {
    return tensor(layer, kind, shape_.rows);
  }

  // Brings the first `filled` rows to where a graph with `rows` cache rows reads them; others are
  // lost. Moves memory only where the layout depends on `rows` and they are not what they were.
  void arrange(std::size_t rows, std::size_t filled);
  // Rows that the present arrangement has room for; all of them at first.
  std::size_t rows() const { return rows_; }

  // Copies the first `count` of `source_rows` new rows ([source_rows, kv_heads * head_dim] or
  // [kv_heads, source_rows, head_dim], as the layout says) to the rows from `at` on. They must fit
  // into rows().
  void write(std::size_t layer, Kind kind, std::span<const std::byte> source,
             std::size_t source_rows, std::size_t at, std::size_t count);

 private:
  // Tensors begin at cache lines.
  static std::size_t stride(const KvShape& shape) {
    constexpr std::size_t kAlign = AlignedBuffer::kAlignment;
    return (shape.tensor_bytes(shape.rows) + kAlign - 1) / kAlign * kAlign;
  }
  KvShape shape_;
  std::size_t rows_ = 0;
  AlignedBuffer memory_;
};

}  // namespace qhx::runtime
