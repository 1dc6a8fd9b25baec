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

// Linears of all heads in one, or one a head.
Result<std::vector<Linear>> load_heads(const WeightLoader& weights, const std::string& prefix,
                                       RowRange rows, std::size_t pieces, int attention) {
  std::vector<Linear> out;
  const std::size_t count = rows.count / pieces;
  for (std::size_t i = 0; i < pieces; ++i) {
    QHX_ASSIGN_OR_RETURN(Linear one,
                         weights.linear_with_bias(prefix, {rows.first + i * count, count},
                                                  {.weight = 0, .bias = -attention}));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Result<VisionAttentionWeights> load_vision_attention(const WeightLoader& weights,
                                                     const hf::VisionConfig& vision,
                                                     const std::string& prefix, int attention,
                                                     int residual) {
  const bool whole = vision_form(weights.activation()) == VisionForm::kWhole;
  const std::size_t h = vision.hidden_size, pieces = whole ? 1 : vision.n_heads;
  const std::string qkv = prefix + "attn.qkv";
  VisionAttentionWeights out;
  QHX_ASSIGN_OR_RETURN(out.q, load_heads(weights, qkv, {0, h}, pieces, attention));
  QHX_ASSIGN_OR_RETURN(out.k, load_heads(weights, qkv, {h, h}, pieces, attention));
  QHX_ASSIGN_OR_RETURN(out.v, load_heads(weights, qkv, {2 * h, h}, pieces, attention));
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
  const Value q = ops_.rotary(heads(ops_.linear(x, weights.q[0])), cos_, sin_);
  const Value k = ops_.rotary(heads(ops_.linear(x, weights.k[0])), cos_, sin_);
  const Value v = heads(ops_.linear(x, weights.v[0]));
  const Value out = ops_.matmul(ops_.softmax(ops_.matmul(q, k, true), beta), v, false);
  return ops_.reshape(ops_.transpose(out, {0, 2, 1, 3}), x.dims);
}

Value VisionAttention::heads(const Value& x) {
  return ops_.transpose(ops_.reshape(x, {1, shape_.patches, shape_.heads, shape_.head_width}),
                        {0, 2, 1, 3});
}

Value VisionAttention::head_by_head(const Value& x, const VisionAttentionWeights& weights,
                                    float beta) {
  std::vector<Value> attended;
  for (std::size_t first = 0; first < shape_.heads; first += kRotatedHeads) {
    const std::size_t count = std::min<std::size_t>(kRotatedHeads, shape_.heads - first);
    const std::vector<Value> k = rotated(x, std::span(weights.k).subspan(first, count));
    const std::vector<Value> q = rotated(x, std::span(weights.q).subspan(first, count));
    for (std::size_t i = 0; i < count; ++i)
      attended.push_back(scored(q[i], k[i], ops_.linear(x, weights.v[first + i]), beta));
  }
  return ops_.concat(attended, 3);
}

// Projects and rotates a few heads, [1, 1, patches, head_width] each.
std::vector<Value> VisionAttention::rotated(const Value& x, std::span<const Linear> heads) {
  std::vector<Value> projected;
  for (const Linear& head : heads) projected.push_back(ops_.linear(x, head));
  return ops_.split(ops_.rotary(ops_.concat(projected, 1), cos_, sin_), 1, 1);
}

Value VisionAttention::scored(const Value& q, const Value& k, const Value& v, float beta) {
  const std::uint32_t tiles = (shape_.patches + kTileRows - 1) / kTileRows;
  std::vector<Value> rows;
  for (const Value& tile : ops_.split(q, 2, piece_size(shape_.patches, tiles)))
    rows.push_back(ops_.matmul(ops_.softmax(ops_.matmul(tile, k, true), beta), v, false));
  return ops_.concat(rows, 2);
}

}  // namespace qhx::forge
