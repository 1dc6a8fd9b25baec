#include "forge/arch/vision_attention.h"

#include <algorithm>
#include <span>

namespace qhx::forge {
namespace {

using qnn::Value;

// Queries of a tile: the softmax of one runs beside the products of the others.
constexpr std::uint32_t kTileRows = 256;
// Heads that are rotated together: one alone wastes most of the vector units' width, and more than
// two keep their chains from being computed one after another.
constexpr std::size_t kRotatedHeads = 2;

}  // namespace

Result<VisionAttentionWeights> load_vision_attention(const WeightLoader& weights,
                                                     const hf::VisionConfig& vision,
                                                     const std::string& prefix, int attention,
                                                     int residual) {
  const std::size_t h = vision.hidden_size;
  const std::string qkv = prefix + "attn.qkv";
  const PowersOfTwo exponents = {.weight = 0, .bias = -attention};
  VisionAttentionWeights out;
  QHX_ASSIGN_OR_RETURN(out.q, weights.linear_with_bias(qkv, {0, h}, exponents));
  QHX_ASSIGN_OR_RETURN(out.k, weights.linear_with_bias(qkv, {h, h}, exponents));
  QHX_ASSIGN_OR_RETURN(out.v, weights.linear_with_bias(qkv, {2 * h, h}, exponents));
  QHX_ASSIGN_OR_RETURN(
      out.proj, weights.linear_with_bias(prefix + "attn.proj", {},
                                         {.weight = attention - residual, .bias = -residual}));
  return out;
}

Value VisionAttention::attend(const Value& x, const VisionAttentionWeights& weights, float beta) {
  const bool whole = vision_form(ops_.activation()) == VisionForm::kWhole;
  const Value attended = whole ? all_heads(x, weights, beta) : head_by_head(x, weights, beta);
  return ops_.linear(attended, weights.proj);
}

Value VisionAttention::all_heads(const Value& x, const VisionAttentionWeights& weights,
                                 float beta) {
  const Value q = ops_.rotary(heads(ops_.linear(x, weights.q)), cos_, sin_);
  const Value k = ops_.rotary(heads(ops_.linear(x, weights.k)), cos_, sin_);
  const Value v = heads(ops_.linear(x, weights.v));
  const Value out = ops_.matmul(ops_.softmax(ops_.matmul(q, k, true), beta), v, false);
  return ops_.reshape(ops_.transpose(out, {0, 2, 1, 3}), x.dims);
}

Value VisionAttention::heads(const Value& x) {
  return ops_.transpose(ops_.reshape(x, {1, shape_.patches, shape_.heads, shape_.head_width}),
                        {0, 2, 1, 3});
}

Value VisionAttention::head_by_head(const Value& x, const VisionAttentionWeights& weights,
                                    float beta) {
  const std::vector<Value> q = rotated_heads(ops_.linear(x, weights.q));
  const std::vector<Value> k = rotated_heads(ops_.linear(x, weights.k));
  const std::vector<Value> v = ops_.split(ops_.linear(x, weights.v), 3, shape_.head_width);
  std::vector<Value> attended;
  for (std::size_t i = 0; i < q.size(); ++i) attended.push_back(scored(q[i], k[i], v[i], beta));
  return ops_.concat(attended, 3);
}

std::vector<Value> VisionAttention::rotated_heads(const Value& x) {
  const std::vector<Value> heads = ops_.split(x, 3, shape_.head_width);
  std::vector<Value> out;
  for (std::size_t first = 0; first < heads.size(); first += kRotatedHeads) {
    const std::size_t count = std::min(kRotatedHeads, heads.size() - first);
    const Value group = ops_.concat(std::span(heads).subspan(first, count), 1);
    for (Value& head : ops_.split(ops_.rotary(group, cos_, sin_), 1, 1))
      out.push_back(std::move(head));
  }
  return out;
}

Value VisionAttention::scored(const Value& q, const Value& k, const Value& v, float beta) {
  const std::uint32_t tiles = (shape_.patches + kTileRows - 1) / kTileRows;
  std::vector<Value> rows;
  for (const Value& tile : ops_.split(q, 2, piece_size(shape_.patches, tiles)))
    rows.push_back(ops_.matmul(ops_.softmax(ops_.matmul(tile, k, true), beta), v, false));
  return ops_.concat(rows, 2);
}

}  // namespace qhx::forge
