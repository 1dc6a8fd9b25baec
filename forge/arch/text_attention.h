// Attention of the text decoder as HTP devices compute it fast; docs/profile.md has what was
// measured. Our CPU library knows another form: text_decoder.cpp.
//
// Scores of the cache's rows and of this call's are computed apart, so that the cache is read where
// it lies and not copied behind one another with the new rows. One row has all heads together; of
// more rows each head is a chain of its own, which stays in the device's fast memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "forge/arch/graph_ops.h"
#include "forge/arch/weights.h"

namespace qhx::forge {

struct TextAttentionWeights {
  VectorWeight q_norm, k_norm;
  Linear q, k, v;
};

struct TextAttentionShape {
  std::uint32_t rows = 0, context_rows = 0;  // T <= C
  std::uint32_t heads = 0, kv_heads = 0, head_dim = 0;
};

class TextAttention {
 public:
  // cos, sin [1, T, D / 2], mask [1, 1, T, C + T]. Both references must outlive this object.
  TextAttention(qnn::GraphBuilder& builder, GraphOps& ops, const TextAttentionShape& shape,
                qnn::Value cos, qnn::Value sin, qnn::Value mask);

  // Whether this form computes such a graph; the cache must be of halves.
  static bool takes(Qnn_DataType_t activation, const TextAttentionShape& shape) {
    return activation == QNN_DATATYPE_FLOAT_16 && shape.rows <= shape.context_rows;
  }

  // x [1, 1, T, hidden], normalised. Adds the inputs past_k_index, past_v_index and the outputs
  // new_k_index, new_v_index; returns [1, 1, T, heads * D]. `epsilon` is that of the norms of
  // queries and keys, `beta` the factor of the scores.
  qnn::Value attend(std::size_t index, const qnn::Value& x, const TextAttentionWeights& weights,
                    float epsilon, float beta);

 private:
  struct KeysValues {
    qnn::Value past_keys, keys, past_values, values;
  };
  qnn::Value all_heads(std::size_t index, const qnn::Value& x, const TextAttentionWeights& weights,
                       float epsilon, float beta);
  qnn::Value head_by_head(std::size_t index, const qnn::Value& x,
                          const TextAttentionWeights& weights, float epsilon, float beta);
  // [1, 1, T, n * D] -> n times [1, 1, T, D], normalised and rotated.
  std::vector<qnn::Value> rotated_heads(const qnn::Value& x, const VectorWeight& norm,
                                        float epsilon);
  // [1, 1, 1, n * D] -> [1, n, 1, D], normalised and rotated.
  qnn::Value rotated_row(const qnn::Value& x, const VectorWeight& norm, float epsilon);
  // q [1, n, R, D]; keys and values [1, n, C or T, D].
  qnn::Value scored(const qnn::Value& q, const KeysValues& kv, bool keys_first, float beta);
  qnn::Value past(const char* kind, std::size_t index);                     // [1, G, C, D]
  void store(const char* kind, std::size_t index, const qnn::Value& rows);  // [1, G, T, D]

  qnn::GraphBuilder& builder_;
  GraphOps& ops_;
  TextAttentionShape shape_;
  qnn::Value cos_, sin_, mask_;
};

}  // namespace qhx::forge
