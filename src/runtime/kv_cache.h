// The keys and values of a session's tokens, in the layout that the graphs read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qnn/tensor_memory.h"

namespace qhx::runtime {

enum class KvLayout {
  kTokenMajor,  // [rows, kv_heads * head_dim]
  kHeadMajor,   // [kv_heads, rows, head_dim]
};

// The tensors of a layer. Caches of integers may have a scale for each row of a head, in tensors of
// their own.
enum class KvKind : std::uint8_t { kKey, kValue, kKeyScale, kValueScale };

struct KvShape {
  std::size_t layers = 0;
  std::size_t kv_heads = 0;
  std::size_t rows = 0;        // capacity in tokens
  std::size_t head_bytes = 0;  // head_dim elements
  KvLayout layout = KvLayout::kTokenMajor;
  std::size_t scale_bytes = 0;  // of a row's scale; 0: rows have none

  // Tensors of a layer: those of the first so many kinds.
  std::size_t kinds() const { return scale_bytes == 0 ? 2 : 4; }
  std::size_t tensors() const { return layers * kinds(); }
  static constexpr bool is_scale(KvKind kind) { return kind >= KvKind::kKeyScale; }
  // Of one head's row.
  std::size_t row_bytes(KvKind kind) const { return is_scale(kind) ? scale_bytes : head_bytes; }
  std::size_t tensor_bytes(KvKind kind, std::size_t for_rows) const {
    return kv_heads * for_rows * row_bytes(kind);
  }
  // Of the i-th tensor: all kinds of layer 0, then of layer 1 …
  KvKind kind_of(std::size_t i) const { return static_cast<KvKind>(i % kinds()); }
  std::size_t layer_of(std::size_t i) const { return i / kinds(); }
};

// A buffer a tensor for the largest number of rows, zero at first. Graphs with fewer cache rows
// read the beginning of each: there the rows lie as arrange() was last told. Rows are opaque bytes:
// the graphs write the same encoding that they read. Move-only, one thread; nothing allocates but
// the constructor.
class KvCache {
 public:
  KvCache() = default;
  explicit KvCache(const KvShape& shape, const qnn::TensorMemory& memory = {})
      : shape_(shape), rows_(shape.rows) {
    for (std::size_t i = 0; i < shape.tensors(); ++i)
      tensors_.push_back(memory.allocate(shape.tensor_bytes(shape.kind_of(i), shape.rows)));
  }

  // What the i-th past tensor (KvShape::kind_of) of a graph with `rows` cache rows is bound to.
  std::span<std::byte> tensor(std::size_t i, std::size_t rows) {
    return tensors_[i].bytes().first(shape_.tensor_bytes(shape_.kind_of(i), rows));
  }
  std::span<std::byte> tensor(std::size_t i) { return tensor(i, shape_.rows); }

  // Brings the first `filled` rows to where a graph with `rows` cache rows reads them; others are
  // lost. Moves memory only where the layout depends on `rows` and they are not what they were.
  void arrange(std::size_t rows, std::size_t filled);
  // Rows that the present arrangement has room for; all of them at first.
  std::size_t rows() const { return rows_; }

  // The memory of rows [first, first + count), which must fit into rows(): tensor by tensor, in
  // each head by head where the layout says so. Its order does not depend on the arrangement.
  std::vector<std::span<std::byte>> pieces(std::size_t first, std::size_t count);

  // Copies the first `count` of `source_rows` new rows ([source_rows, kv_heads * head_dim] or
  // [kv_heads, source_rows, head_dim], as the layout says) to the i-th tensor's rows from `at` on.
  // They must fit into rows().
  void write(std::size_t i, std::span<const std::byte> source, std::size_t source_rows,
             std::size_t at, std::size_t count);

 private:
  KvShape shape_;
  std::size_t rows_ = 0;
  std::vector<qnn::TensorBuffer> tensors_;
};

}  // namespace qhx::runtime
