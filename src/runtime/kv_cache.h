// The keys and values of a session's tokens, in the layout that the graphs read.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "qnn/tensor_memory.h"

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

// A buffer a tensor for the largest number of rows, zero at first. Graphs with fewer cache rows
// read the beginning of each: there the rows lie as arrange() was last told. Rows are opaque bytes:
// the graphs write the same encoding that they read. Move-only, one thread; nothing allocates but
// the constructor.
class KvCache {
 public:
  enum Kind { kKey = 0, kValue = 1 };

  KvCache() = default;
  explicit KvCache(const KvShape& shape, const qnn::TensorMemory& memory = {})
      : shape_(shape), rows_(shape.rows) {
    for (std::size_t i = 0; i < 2 * shape.layers; ++i)
      tensors_.push_back(memory.allocate(shape.tensor_bytes(shape.rows)));
  }

  // What past_k_i or past_v_i of a graph with `rows` cache rows is bound to.
  std::span<std::byte> tensor(std::size_t layer, Kind kind, std::size_t rows) {
    return tensors_[2 * layer + kind].bytes().first(shape_.tensor_bytes(rows));
  }
  std::span<std::byte> tensor(std::size_t layer, Kind kind) {
    return tensor(layer, kind, shape_.rows);
  }

  // Brings the first `filled` rows to where a graph with `rows` cache rows reads them; others are
  // lost. Moves memory only where the layout depends on `rows` and they are not what they were.
  void arrange(std::size_t rows, std::size_t filled);
  // Rows that the present arrangement has room for; all of them at first.
  std::size_t rows() const { return rows_; }

  // The memory of rows [first, first + count), which must fit into rows(): tensor by tensor, in
  // each head by head where the layout says so. Its order does not depend on the arrangement.
  std::vector<std::span<std::byte>> pieces(std::size_t first, std::size_t count);

  // Copies the first `count` of `source_rows` new rows ([source_rows, kv_heads * head_dim] or
  // [kv_heads, source_rows, head_dim], as the layout says) to the rows from `at` on. They must fit
  // into rows().
  void write(std::size_t layer, Kind kind, std::span<const std::byte> source,
             std::size_t source_rows, std::size_t at, std::size_t count);

 private:
  KvShape shape_;
  std::size_t rows_ = 0;
  std::vector<qnn::TensorBuffer> tensors_;  // k_0, v_0, k_1 …
};

}  // namespace qhx::runtime
