#include "forge/arch/vision_encoder.h"

#include <cmath>

#include "forge/arch/graph_ops.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

using qnn::Value;

struct VisionBlock {
  Norm norm1, norm2;
  Linear q, k, v, proj, fc1, fc2;
};

struct Merger {
  Norm norm;
  Linear fc1, fc2;
};

Result<VisionBlock> load_block(const WeightLoader& weights, const hf::VisionConfig& vision,
                               std::size_t index, const ScalePlan& scales) {
  const std::string block = "model.visual.blocks." + std::to_string(index) + ".";
  const std::size_t h = vision.hidden_size;
  const int attention = scales.block_attention(index), residual = scales.vision_residual;
  VisionBlock out;
  QHX_ASSIGN_OR_RETURN(out.norm1, weights.norm(block + "norm1", -attention));
  QHX_ASSIGN_OR_RETURN(out.q,
                       weights.linear_with_bias(block + "attn.qkv", {0, h}, {0, -attention}));
  QHX_ASSIGN_OR_RETURN(out.k,
                       weights.linear_with_bias(block + "attn.qkv", {h, h}, {0, -attention}));
  QHX_ASSIGN_OR_RETURN(out.v,
                       weights.linear_with_bias(block + "attn.qkv", {2 * h, h}, {0, -attention}));
  QHX_ASSIGN_OR_RETURN(out.proj, weights.linear_with_bias(block + "attn.proj", {},
                                                          {attention - residual, -residual}));
  QHX_ASSIGN_OR_RETURN(out.norm2, weights.norm(block + "norm2"));
  QHX_ASSIGN_OR_RETURN(out.fc1, weights.linear_with_bias(block + "mlp.linear_fc1"));
  QHX_ASSIGN_OR_RETURN(out.fc2,
                       weights.linear_with_bias(block + "mlp.linear_fc2", {}, {0, -residual}));
  return out;
}

// The output's bias is multiplied by 2^-exponent, as its input will be.
Result<Merger> load_merger(const WeightLoader& weights, const std::string& prefix, int exponent) {
  Merger out;
  QHX_ASSIGN_OR_RETURN(out.norm, weights.norm(prefix + ".norm"));
  QHX_ASSIGN_OR_RETURN(out.fc1, weights.linear_with_bias(prefix + ".linear_fc1"));
  QHX_ASSIGN_OR_RETURN(out.fc2,
                       weights.linear_with_bias(prefix + ".linear_fc2", {}, {0, -exponent}));
  return out;
}

class VisionGraph {
 public:
  VisionGraph(qnn::GraphBuilder builder, Qnn_DataType_t activation, const hf::VisionConfig& vision,
              PatchGrid grid, const ScalePlan& scales)
      : builder_(std::move(builder)),
        ops_(builder_, activation),
        patches_(grid.patches()),
        tokens_(grid.patches() / static_cast<std::uint32_t>(vision.merge_unit())),
        width_(static_cast<std::uint32_t>(vision.hidden_size)),
        heads_(static_cast<std::uint32_t>(vision.n_heads)),
        out_width_(static_cast<std::uint32_t>(vision.out_hidden_size)),
        scales_(scales),
        epsilon_(scaled_epsilon(hf::kVisionLayerNormEps, scales.vision_residual)) {
    hidden_ = ops_.reshape(ops_.input("patches", {patches_, width_}), {1, 1, patches_, width_});
    hidden_ = ops_.times_power_of_two(hidden_, -scales_.vision_residual, "residual_scale");
    rope_tables(vision, grid);
  }
  VisionGraph(const VisionGraph&) = delete;  // ops_ refers to builder_

  void block(std::size_t index, const VisionBlock& w) {
    builder_.part("layer " + std::to_string(index));
    const Value attended = attention(index, ops_.layer_norm(hidden_, w.norm1, epsilon_), w);
    hidden_ = ops_.add(hidden_, ops_.linear(attended, w.proj));
    const Value normed = ops_.layer_norm(hidden_, w.norm2, epsilon_);
    const Value inner =
        ops_.times_power_of_two(ops_.gelu_tanh(ops_.linear(normed, w.fc1)),
                                -scales_.vision_residual, "mlp_scale_" + std::to_string(index));
    hidden_ = ops_.add(hidden_, ops_.linear(inner, w.fc2));
  }

  // Normalises the concatenation of the patches of a token.
  void deepstack(std::size_t index, const Merger& w) {
    builder_.part("deepstack merger " + std::to_string(index));
    const Value merged = ops_.layer_norm(concatenated(hidden_), w.norm, epsilon_);
    merge(merged, w, "deepstack_" + std::to_string(index), scales_.feature(index));
  }

  // Normalises each patch, then concatenates.
  Result<qnn::Graph> finish(const Merger& w) {
    builder_.part("merger");
    merge(concatenated(ops_.layer_norm(hidden_, w.norm, epsilon_)), w, "image_embeds", 0);
    return std::move(builder_).finalize();
  }

  const Status& status() const { return builder_.status(); }

 private:
  // The grid is the picture's, so the tables are constants of the graph.
  void rope_tables(const hf::VisionConfig& vision, PatchGrid grid) {
    std::vector<float> cos(patches_ * (vision.head_dim() / 2)), sin(cos.size());
    vision::fill_vision_rope({static_cast<int>(grid.rows), static_cast<int>(grid.columns)},
                             static_cast<int>(vision.spatial_merge_size), hf::kVisionRopeTheta,
                             vision.head_dim(), cos, sin);
    cos_ = table("rope_cos", cos);
    sin_ = table("rope_sin", sin);
  }

  Value table(const char* name, std::span<const float> values) {
    auto weight = make_vector(name, {1, patches_, width_ / heads_ / 2}, ops_.activation(), values);
    if (weight.ok()) return ops_.constant(*weight);
    builder_.fail(weight.status());
    return {};
  }

  // [1, 1, N, Hv] -> [1, heads, N, d].
  Value heads(const Value& x) {
    return ops_.transpose(ops_.reshape(x, {1, patches_, heads_, width_ / heads_}), {0, 2, 1, 3});
  }

  Value attention(std::size_t index, const Value& x, const VisionBlock& w) {
    const Value q = ops_.rotary(heads(ops_.linear(x, w.q)), cos_, sin_);
    const Value k = ops_.rotary(heads(ops_.linear(x, w.k)), cos_, sin_);
    const Value v = heads(ops_.linear(x, w.v));
    const float scale = std::ldexp(1.0f / std::sqrt(static_cast<float>(width_ / heads_)),
                                   2 * scales_.block_attention(index));
    const Value out = ops_.matmul(ops_.softmax(ops_.matmul(q, k, true), scale), v, false);
    return ops_.reshape(ops_.transpose(out, {0, 2, 1, 3}), {1, 1, patches_, width_});
  }

  // The patches of a token follow one another, so concatenating them is a change of shape.
  Value concatenated(const Value& x) {
    return ops_.reshape(x, {1, 1, tokens_, patches_ / tokens_ * width_});
  }

  void merge(const Value& x, const Merger& w, const std::string& output, int exponent) {
    const Value inner =
        ops_.times_power_of_two(ops_.gelu_erf(ops_.linear(x, w.fc1)), -exponent, output + "_scale");
    ops_.reshape_into(ops_.linear(inner, w.fc2), ops_.output(output, {tokens_, out_width_}));
  }

  qnn::GraphBuilder builder_;
  GraphOps ops_;
  std::uint32_t patches_, tokens_, width_, heads_, out_width_;
  const ScalePlan& scales_;
  float epsilon_;  // of the norms of the residual stream
  Value hidden_, cos_, sin_;
};

}  // namespace

Result<qnn::Graph> build_vision_encoder(std::shared_ptr<qnn::Context> context,
                                        const hf::ModelConfig& config, const WeightLoader& weights,
                                        PatchGrid grid, const qnn::HtpGraphOptions& htp,
                                        const ScalePlan& scales) {
  const hf::VisionConfig& vision = config.vision;
  QHX_ASSIGN_OR_RETURN(qnn::GraphBuilder builder,
                       qnn::GraphBuilder::create(std::move(context), "vision", htp));
  VisionGraph graph(std::move(builder), weights.activation(), vision, grid, scales);
  std::size_t features = 0;
  for (std::size_t i = 0; i < vision.depth; ++i) {
    QHX_ASSIGN_OR_RETURN(const VisionBlock block, load_block(weights, vision, i, scales));
    graph.block(i, block);
    if (const auto number = vision.deepstack_merger_of(i)) {
      QHX_ASSIGN_OR_RETURN(
          const Merger merger,
          load_merger(weights, "model.visual.deepstack_merger_list." + std::to_string(*number),
                      scales.feature(features)));
      graph.deepstack(features++, merger);
    }
    QHX_RETURN_IF_ERROR(graph.status());
  }
  QHX_ASSIGN_OR_RETURN(const Merger merger, load_merger(weights, "model.visual.merger", 0));
  return graph.finish(merger);
}

}  // namespace qhx::forge
