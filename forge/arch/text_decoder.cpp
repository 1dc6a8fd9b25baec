#include "forge/arch/text_decoder.h"

#include <cmath>
#include <optional>

#include "forge/arch/graph_ops.h"
#include "forge/arch/integer_ops.h"
#include "forge/arch/text_attention.h"
#include "forge/arch/vision_form.h"

namespace qhx::forge {
namespace {

using qnn::Dims;
using qnn::Value;

// Of the inner width of an MLP; measured, docs/profile.md.
constexpr std::uint32_t kMlpPieces = 8;

// Sizes of the text model in the type of tensor dimensions.
struct TextSizes {
  explicit TextSizes(const hf::TextConfig& text)
      : hidden(static_cast<std::uint32_t>(text.hidden_size)),
        heads(static_cast<std::uint32_t>(text.n_heads)),
        kv_heads(static_cast<std::uint32_t>(text.n_kv_heads)),
        head_dim(static_cast<std::uint32_t>(text.head_dim)),
        repeat(heads / kv_heads),
        epsilon(text.rms_norm_eps) {}
  std::uint32_t hidden, heads, kv_heads, head_dim;
  std::uint32_t repeat;  // query heads that share a kv head
  float epsilon;
};

struct TextLayer {
  VectorWeight input_norm, post_norm;
  TextAttentionWeights attention;
  Linear o, gate, up, down;
};

Result<TextLayer> load_layer(const WeightLoader& weights, std::size_t index,
                             const ScalePlan& scales) {
  const std::string layer = "model.language_model.layers." + std::to_string(index) + ".";
  const TextScales s = scales.layer(index);
  TextLayer out;
  QHX_ASSIGN_OR_RETURN(out.input_norm,
                       weights.vector(layer + "input_layernorm.weight", {}, -s.attention));
  QHX_ASSIGN_OR_RETURN(out.attention.q, weights.linear(layer + "self_attn.q_proj"));
  QHX_ASSIGN_OR_RETURN(out.attention.k, weights.linear(layer + "self_attn.k_proj"));
  QHX_ASSIGN_OR_RETURN(out.attention.v, weights.linear(layer + "self_attn.v_proj"));
  QHX_ASSIGN_OR_RETURN(out.attention.q_norm,
                       weights.vector(layer + "self_attn.q_norm.weight", {}, -s.q));
  QHX_ASSIGN_OR_RETURN(out.attention.k_norm,
                       weights.vector(layer + "self_attn.k_norm.weight", {}, -s.k));
  QHX_ASSIGN_OR_RETURN(
      out.o, weights.linear(layer + "self_attn.o_proj", {}, s.attention - scales.text_residual));
  QHX_ASSIGN_OR_RETURN(out.post_norm,
                       weights.vector(layer + "post_attention_layernorm.weight", {}, -s.mlp));
  QHX_ASSIGN_OR_RETURN(out.gate, weights.linear(layer + "mlp.gate_proj", {}, s.mlp));
  QHX_ASSIGN_OR_RETURN(out.up, weights.linear(layer + "mlp.up_proj"));
  QHX_ASSIGN_OR_RETURN(out.down,
                       weights.linear(layer + "mlp.down_proj", {}, s.mlp - scales.text_residual));
  return out;
}

// One graph while it is being built.
class TextGraph {
 public:
  TextGraph(qnn::GraphBuilder builder, Qnn_DataType_t activation, const hf::ModelConfig& config,
            const TextGraphSpec& spec, KvFormat kv, const ScalePlan& scales)
      : builder_(std::move(builder)),
        ops_(builder_, activation),
        integers_(builder_),
        sizes_(config.text),
        kv_(kv),
        scales_(scales),
        epsilon_(scaled_epsilon(sizes_.epsilon, scales.text_residual)),
        rows_(spec.rows),
        context_rows_(spec.context_rows),
        deepstacks_(spec.deepstack ? config.vision.deepstack_layers.size() : 0) {
    begin();
  }
  TextGraph(const TextGraph&) = delete;  // ops_ refers to builder_

  void layer(std::size_t index, const TextLayer& w) {
    builder_.part("layer " + std::to_string(index));
    const Value attended =
        attention(index, ops_.rms_norm(hidden_, w.input_norm, epsilon_), w.attention);
    hidden_ = ops_.add(hidden_, after_attention(index, attended, w.o));
    hidden_ = ops_.add(hidden_, mlp(index, ops_.rms_norm(hidden_, w.post_norm, epsilon_), w));
    if (index < deepstacks_) {
      const std::string name = "deepstack_" + std::to_string(index);
      const Value features = ops_.reshape(ops_.input(name, {rows_, sizes_.hidden}), hidden_.dims);
      const int exponent = scales_.feature(index) - scales_.text_residual;
      hidden_ = ops_.add(hidden_, ops_.times_power_of_two(features, exponent, name + "_scale"));
    }
  }

  Result<qnn::Graph> finish(const VectorWeight& final_norm) {
    builder_.part("final norm");
    const Value y = ops_.output("y", {rows_, sizes_.hidden});
    ops_.reshape_into(ops_.rms_norm(hidden_, final_norm, epsilon_), y);
    return std::move(builder_).finalize();
  }

  const Status& status() const { return builder_.status(); }

 private:
  void begin() {
    const std::uint32_t half = sizes_.head_dim / 2;
    hidden_ = ops_.reshape(ops_.input("x", {rows_, sizes_.hidden}), {1, 1, rows_, sizes_.hidden});
    hidden_ = ops_.times_power_of_two(hidden_, -scales_.text_residual, "residual_scale");
    cos_ = ops_.reshape(ops_.input("cos", {rows_, half}), {1, rows_, half});
    sin_ = ops_.reshape(ops_.input("sin", {rows_, half}), {1, rows_, half});
    const std::uint32_t columns = context_rows_ + rows_;
    mask_ = ops_.reshape(ops_.input("mask", {rows_, columns}), {1, 1, rows_, columns});
    const TextAttentionShape shape = {rows_, context_rows_, sizes_.heads, sizes_.kv_heads,
                                      sizes_.head_dim};
    if (kv_ == KvFormat::kF16 && TextAttention::takes(ops_.activation(), shape)) {
      device_attention_.emplace(builder_, ops_, shape, cos_, sin_, mask_);
      return;
    }
    // The query heads of a kv head are one block of rows below another, so the mask repeats.
    if (sizes_.repeat > 1) mask_ = ops_.tile(mask_, 2, sizes_.repeat);
  }

  // [1, 1, T, heads * D] -> [1, T, heads, D].
  Value split_heads(const Value& x, std::uint32_t heads) {
    return ops_.reshape(x, {1, rows_, heads, sizes_.head_dim});
  }

  // Normalised over each head, rotated: [1, heads, T, D]. x is smaller by 2^-exponent.
  Value rotated_heads(const Value& x, std::uint32_t heads, const VectorWeight& norm, int exponent) {
    const Value normed =
        ops_.rms_norm(split_heads(x, heads), norm, scaled_epsilon(sizes_.epsilon, exponent));
    return ops_.rotary(ops_.transpose(normed, {0, 2, 1, 3}), cos_, sin_);
  }

  // Writes this call's rows [1, G, T, D] to the output new_`kind`_i and returns the cache input's
  // rows followed by them, [1, G, C + T, D]. Integers follow as what they will be read as: then a
  // token sees the same whether the one before it came in the same call or in an earlier one.
  Value with_past(const std::string& kind, std::size_t index, Value fresh) {
    const std::string name = kind + "_" + std::to_string(index);
    const std::string scale = kind + "_scale_" + std::to_string(index);
    const bool int8 = kv_ == KvFormat::kInt8;
    const Qnn_DataType_t type = int8 ? QNN_DATATYPE_INT_8 : QNN_DATATYPE_FLOAT_16;
    const std::uint32_t heads = sizes_.kv_heads, width = sizes_.head_dim;
    const Value stored = builder_.output("new_" + name, type, {heads, rows_, width});
    const Value cached = builder_.input("past_" + name, type, {heads, context_rows_, width});
    Value past = ops_.to_activation(cached);
    if (int8) {
      const QuantizedRows rows = ops_.quantize_rows(fresh, "new_" + name);
      ops_.store_into(rows.integers, stored);
      ops_.store_into(rows.scales, ops_.output("new_" + scale, {heads, rows_, 1}));
      past = ops_.multiply(past, ops_.input("past_" + scale, {heads, context_rows_, 1}));
      fresh = ops_.multiply(rows.integers, rows.scales);
    } else {
      ops_.store_into(fresh, stored);
    }
    return ops_.concat(ops_.reshape(past, {1, heads, context_rows_, width}), fresh, 2);
  }

  Value attention(std::size_t index, const Value& x, const TextAttentionWeights& w) {
    const TextScales s = scales_.layer(index);
    // The scale sits in the softmax: beta multiplies the mask too, which stays far below any score.
    const float beta = std::ldexp(1.0f / std::sqrt(static_cast<float>(sizes_.head_dim)), s.q + s.k);
    if (device_attention_) {
      return device_attention_->attend(index, x, w, scaled_epsilon(sizes_.epsilon, s.attention),
                                       beta);
    }
    const std::uint32_t block = sizes_.repeat * rows_;  // query rows of one kv head
    Value q = rotated_heads(ops_.linear(x, w.q), sizes_.heads, w.q_norm, s.attention);
    if (sizes_.repeat > 1) q = ops_.reshape(q, {1, sizes_.kv_heads, block, sizes_.head_dim});
    const Value k = rotated_heads(ops_.linear(x, w.k), sizes_.kv_heads, w.k_norm, s.attention);
    const Value v = ops_.transpose(split_heads(ops_.linear(x, w.v), sizes_.kv_heads), {0, 2, 1, 3});
    const Value keys = with_past("k", index, k);
    const Value values = with_past("v", index, v);
    const Value weights = ops_.softmax(ops_.add(ops_.matmul(q, keys, true), mask_), beta);
    Value out = ops_.matmul(weights, values, false);
    if (sizes_.repeat > 1) out = ops_.reshape(out, {1, sizes_.heads, rows_, sizes_.head_dim});
    return ops_.reshape(ops_.transpose(out, {0, 2, 1, 3}),
                        {1, 1, rows_, sizes_.heads * sizes_.head_dim});
  }

  bool takes(const Linear& linear) const {
    return takes_integers(ops_.activation(), rows_, linear);
  }

  Value after_attention(std::size_t index, const Value& x, const Linear& o) {
    const auto reach = reach_of(scales_.integers.text_o, index);
    if (!reach || !takes(o)) return ops_.linear(x, o);
    return integers_.dequantize(integers_.linear(integers_.quantize(x, reach->in), o, reach->out));
  }

  Value mlp(std::size_t index, const Value& x, const TextLayer& w) {
    const auto reach = reach_of(scales_.integers.text_mlp, index);
    if (reach && takes(w.gate) && takes(w.up) && takes(w.down)) {
      const IntegerValue in = integers_.quantize(x, reach->in);
      const IntegerValue gate = integers_.linear(in, w.gate, reach->gate);
      const IntegerValue up = integers_.linear(in, w.up, reach->up);
      const IntegerValue product =
          integers_.multiply(integers_.silu(gate, reach->gate), up, reach->product);
      return integers_.dequantize(integers_.linear(product, w.down, reach->out));
    }
    const Value gate = ops_.linear(x, w.gate), up = ops_.linear(x, w.up);
    if (!device_attention_ || rows_ == 1) {
      const Value silu = ops_.multiply(gate, ops_.sigmoid(gate));
      return ops_.linear(ops_.multiply(silu, up), w.down);
    }
    // A device computes pieces of the inner width while others are multiplied by the weights.
    const std::uint32_t size = piece_size(gate.dims.back(), kMlpPieces);
    const std::vector<Value> gates = ops_.split(gate, 3, size), ups = ops_.split(up, 3, size);
    std::vector<Value> products;
    for (std::size_t i = 0; i < gates.size(); ++i) {
      products.push_back(ops_.multiply(gates[i], ops_.multiply(ups[i], ops_.sigmoid(gates[i]))));
    }
    return ops_.linear(ops_.concat(products, 3), w.down);
  }

  qnn::GraphBuilder builder_;
  GraphOps ops_;
  IntegerOps integers_;
  TextSizes sizes_;
  KvFormat kv_;
  const ScalePlan& scales_;
  float epsilon_;  // of the norms of the residual stream
  std::uint32_t rows_, context_rows_;
  std::size_t deepstacks_;
  Value hidden_, cos_, sin_, mask_;
  std::optional<TextAttention> device_attention_;  // the form that HTP devices compute fast
};

}  // namespace

Result<std::vector<qnn::Graph>> build_text_decoder(std::shared_ptr<qnn::Context> context,
                                                   const hf::ModelConfig& config,
                                                   const WeightLoader& weights,
                                                   const TextDecoderSpec& spec,
                                                   const ScalePlan& scales) {
  std::vector<std::unique_ptr<TextGraph>> graphs;
  for (const TextGraphSpec& graph : spec.graphs) {
    QHX_ASSIGN_OR_RETURN(qnn::GraphBuilder builder,
                         qnn::GraphBuilder::create(context, graph.name, spec.htp));
    graphs.push_back(std::make_unique<TextGraph>(std::move(builder), weights.activation(), config,
                                                 graph, spec.kv, scales));
  }
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    QHX_ASSIGN_OR_RETURN(const TextLayer layer, load_layer(weights, i, scales));
    for (const auto& graph : graphs) {
      graph->layer(i, layer);
      QHX_RETURN_IF_ERROR(graph->status());
    }
  }
  QHX_ASSIGN_OR_RETURN(const VectorWeight final_norm,
                       weights.vector("model.language_model.norm.weight"));
  std::vector<qnn::Graph> out;
  for (const auto& graph : graphs) {
    QHX_ASSIGN_OR_RETURN(qnn::Graph finished, graph->finish(final_norm));
    out.push_back(std::move(finished));
  }
  return out;
}

}  // namespace qhx::forge
