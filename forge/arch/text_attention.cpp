#include "forge/arch/text_attention.h"

#include <string>
#include <utility>

namespace qhx::forge {

using qnn::Value;

TextAttention::TextAttention(qnn::GraphBuilder& builder, GraphOps& ops,
                             const TextAttentionShape& shape, Value cos, Value sin, Value mask)
    : builder_(builder),
      ops_(ops),
      shape_(shape),
      cos_(std::move(cos)),
      sin_(std::move(sin)),
      mask_(std::move(mask)) {
  if (shape_.rows == 1) return;
  // As wide as a head: halves of a head are rotated by products with whole rows.
  const qnn::Dims dims = {1, 1, shape_.rows, shape_.head_dim / 2};
  const Value half_cos = ops_.reshape(cos_, dims), half_sin = ops_.reshape(sin_, dims);
  cos_ = ops_.concat(half_cos, half_cos, 3);
  sin_ = ops_.concat(ops_.negate(half_sin), half_sin, 3);
}

Value TextAttention::attend(std::size_t index, const Value& x, const TextAttentionWeights& weights,
                            float epsilon, float beta) {
  return shape_.rows == 1 ? all_heads(index, x, weights, epsilon, beta)
                          : head_by_head(index, x, weights, epsilon, beta);
}

Value TextAttention::past(const char* kind, std::size_t index) {
  const std::uint32_t heads = shape_.kv_heads, rows = shape_.context_rows, width = shape_.head_dim;
  return ops_.reshape(builder_.input("past_" + std::string(kind) + "_" + std::to_string(index),
                                     QNN_DATATYPE_FLOAT_16, {heads, rows, width}),
                      {1, heads, rows, width});
}

void TextAttention::store(const char* kind, std::size_t index, const Value& rows) {
  ops_.store_into(rows, builder_.output("new_" + std::string(kind) + "_" + std::to_string(index),
                                        QNN_DATATYPE_FLOAT_16,
                                        {shape_.kv_heads, shape_.rows, shape_.head_dim}));
}

Value TextAttention::scored(const Value& q, const KeysValues& kv, bool keys_first, float beta) {
  const Value of_past = keys_first
                            ? ops_.transpose(ops_.matmul(kv.past_keys, q, true), {0, 1, 3, 2})
                            : ops_.matmul(q, kv.past_keys, true);
  const Value scores = ops_.concat(of_past, ops_.matmul(q, kv.keys, true), 3);
  const std::vector<Value> weights =
      ops_.split(ops_.softmax(ops_.add(scores, mask_), beta), 3, shape_.context_rows);
  return ops_.add(ops_.matmul(weights[0], kv.past_values, false),
                  ops_.matmul(weights[1], kv.values, false));
}

Value TextAttention::rotated_row(const Value& x, const VectorWeight& norm, float epsilon) {
  const std::uint32_t heads = x.dims.back() / shape_.head_dim;
  const Value normed =
      ops_.rms_norm(ops_.reshape(x, {1, 1, heads, shape_.head_dim}), norm, epsilon);
  return ops_.rotary(ops_.reshape(normed, {1, heads, 1, shape_.head_dim}), cos_, sin_);
}

Value TextAttention::all_heads(std::size_t index, const Value& x,
                               const TextAttentionWeights& weights, float epsilon, float beta) {
  const std::uint32_t groups = shape_.kv_heads, width = shape_.head_dim;
  const Value q = ops_.reshape(rotated_row(ops_.linear(x, weights.q), weights.q_norm, epsilon),
                               {1, groups, shape_.heads / groups, width});
  const KeysValues kv = {.past_keys = past("k", index),
                         .keys = rotated_row(ops_.linear(x, weights.k), weights.k_norm, epsilon),
                         .past_values = past("v", index),
                         .values = ops_.reshape(ops_.linear(x, weights.v), {1, groups, 1, width})};
  store("k", index, kv.keys);
  store("v", index, kv.values);
  // 4-bit weights keep the vector units busy, and this takes them less; with int8 it takes longer.
  const bool keys_first = weights.q.weight.group != 0;
  return ops_.reshape(scored(q, kv, keys_first, beta), {1, 1, 1, shape_.heads * width});
}

std::vector<Value> TextAttention::rotated_heads(const Value& x, const VectorWeight& norm,
                                                float epsilon) {
  std::vector<Value> heads = ops_.split(x, 3, shape_.head_dim);
  const Value gamma = ops_.constant(norm);
  for (Value& head : heads) {
    const Value normed = ops_.rms_norm(head, gamma, epsilon);
    const std::vector<Value> halves = ops_.split(normed, 3, shape_.head_dim / 2);
    head = ops_.add(ops_.multiply(normed, cos_),
                    ops_.multiply(ops_.concat(halves[1], halves[0], 3), sin_));
  }
  return heads;
}

Value TextAttention::head_by_head(std::size_t index, const Value& x,
                                  const TextAttentionWeights& weights, float epsilon, float beta) {
  const std::vector<Value> values = ops_.split(ops_.linear(x, weights.v), 3, shape_.head_dim);
  const std::vector<Value> keys = rotated_heads(ops_.linear(x, weights.k), weights.k_norm, epsilon);
  const std::vector<Value> queries =
      rotated_heads(ops_.linear(x, weights.q), weights.q_norm, epsilon);
  const std::vector<Value> past_keys = ops_.split(past("k", index), 1, 1);
  const std::vector<Value> past_values = ops_.split(past("v", index), 1, 1);
  store("k", index, ops_.concat(keys, 1));
  store("v", index, ops_.concat(values, 1));
  std::vector<Value> out;
  const std::uint32_t repeat = shape_.heads / shape_.kv_heads;
  for (std::uint32_t head = 0; head < shape_.heads; ++head) {
    const std::uint32_t group = head / repeat;
    out.push_back(scored(queries[head],
                         {past_keys[group], keys[group], past_values[group], values[group]},
                         /*keys_first=*/false, beta));
  }
  return ops_.concat(out, 3);
}

}  // namespace qhx::forge
