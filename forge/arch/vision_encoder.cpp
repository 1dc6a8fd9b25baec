#include "forge/arch/vision_encoder.h"

#include <cmath>

#include "forge/arch/graph_ops.h"
#include "forge/arch/integer_ops.h"
#include "forge/arch/vision_attention.h"
#include "forge/arch/vision_mlp.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

using qnn::Value;

struct VisionBlock {
  Norm norm1, norm2;
  VisionAttentionWeights attention;
  VisionMlp mlp;
};

struct Merger {
  Norm norm;
  Linear fc1, fc2;
};

Result<VisionBlock> load_block(const WeightLoader& weights, const hf::VisionConfig& vision,
                               std::size_t index, PatchGrid grid, const ScalePlan& scales) {
  const std::string block = "model.visual.blocks." + std::to_string(index) + ".";
  const int attention = scales.block_attention(index), residual = scales.vision_residual;
  VisionBlock out;
  QHX_ASSIGN_OR_RETURN(out.norm1, weights.norm(block + "norm1", -attention));
  QHX_ASSIGN_OR_RETURN(out.attention,
                       load_vision_attention(weights, vision, block, attention, residual));
  QHX_ASSIGN_OR_RETURN(out.norm2, weights.norm(block + "norm2"));
  QHX_ASSIGN_OR_RETURN(out.mlp, load_vision_mlp(weights, block, grid.patches(), residual,
                                                reach_of(scales.integers.vision_mlp, index)));
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
        integers_(builder_),
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
    const float beta = std::ldexp(1.0f / std::sqrt(static_cast<float>(width_ / heads_)),
                                  2 * scales_.block_attention(index));
    VisionAttention attention(ops_, {patches_, heads_, width_ / heads_}, cos_, sin_);
    hidden_ = ops_.add(
        hidden_, attention.attend(ops_.layer_norm(hidden_, w.norm1, epsilon_), w.attention, beta));
    hidden_ =
        ops_.add(hidden_, vision_mlp(ops_, integers_, ops_.layer_norm(hidden_, w.norm2, epsilon_),
                                     w.mlp, "mlp_scale_" + std::to_string(index)));
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
    merge(concatenated_norms(w.norm), w, "image_embeds", 0);
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

  // The patches of a token follow one another, so concatenating them is a change of shape.
  Value concatenated(const Value& x) {
    return ops_.reshape(x, {1, 1, tokens_, patches_ / tokens_ * width_});
  }

  // Each patch normalised, and those of a token concatenated. A device's library computes GELU on
  // its vector units, many times slower, if what comes into the linear before it was reshaped last:
  // so there the change of shape comes first.
  Value concatenated_norms(const Norm& norm) {
    if (vision_form(ops_.activation()) == VisionForm::kWhole)
      return concatenated(ops_.layer_norm(hidden_, norm, epsilon_));
    const Value gamma = ops_.constant(norm.gamma), beta = ops_.constant(norm.beta);
    std::vector<Value> patches = ops_.split(concatenated(hidden_), 3, width_);
    for (Value& patch : patches) patch = ops_.layer_norm(patch, gamma, beta, epsilon_);
    return ops_.concat(patches, 3);
  }

  void merge(const Value& x, const Merger& w, const std::string& output, int exponent) {
    const Value inner =
        ops_.times_power_of_two(ops_.gelu_erf(ops_.linear(x, w.fc1)), -exponent, output + "_scale");
    ops_.reshape_into(ops_.linear(inner, w.fc2), ops_.output(output, {tokens_, out_width_}));
  }

  qnn::GraphBuilder builder_;
  GraphOps ops_;
  IntegerOps integers_;
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
    QHX_ASSIGN_OR_RETURN(const VisionBlock block, load_block(weights, vision, i, grid, scales));
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
