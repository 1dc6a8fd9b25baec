// Self-attention of the vision encoder's blocks: full attention among all patches of a picture,
// with a rotary embedding of queries and keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/arch/graph_ops.h"
#include "forge/arch/vision_form.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"

namespace qhx::forge {

struct VisionAttentionWeights {
  Linear q, k, v, proj;
};

// `prefix` is that of the block, with a dot. What enters is smaller by 2^-attention, what leaves by
// 2^-residual (forge/arch/scale_plan.h).
Result<VisionAttentionWeights> load_vision_attention(const WeightLoader& weights,
                                                     const hf::VisionConfig& vision,
                                                     const std::string& prefix, int attention,
                                                     int residual);

struct VisionAttentionShape {
  std::uint32_t patches = 0, heads = 0, head_width = 0;
};

class VisionAttention {
 public:
  // cos and sin [1, patches, head_width / 2]. `ops` must outlive this object.
  VisionAttention(GraphOps& ops, const VisionAttentionShape& shape, qnn::Value cos, qnn::Value sin)
      : ops_(ops), shape_(shape), cos_(std::move(cos)), sin_(std::move(sin)) {}

  // x [1, 1, patches, heads * head_width], normalised; the result has the same shape. `beta` is the
  // factor of the scores.
  qnn::Value attend(const qnn::Value& x, const VisionAttentionWeights& weights, float beta);

 private:
  qnn::Value all_heads(const qnn::Value& x, const VisionAttentionWeights& weights, float beta);
  qnn::Value head_by_head(const qnn::Value& x, const VisionAttentionWeights& weights, float beta);
  // [1, 1, patches, heads * width] -> [1, heads, patches, width].
  qnn::Value heads(const qnn::Value& x);
  // [1, 1, patches, heads * width] -> [1, 1, patches, width] each, rotated.
  std::vector<qnn::Value> rotated_heads(const qnn::Value& x);
  // q, k, v and the result [1, 1, patches, width].
  qnn::Value scored(const qnn::Value& q, const qnn::Value& k, const qnn::Value& v, float beta);

  GraphOps& ops_;
  VisionAttentionShape shape_;
  qnn::Value cos_, sin_;
};

}  // namespace qhx::forge
