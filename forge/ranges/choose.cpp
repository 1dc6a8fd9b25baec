#include "forge/ranges/choose.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "forge/ranges/stages.h"
#include "reference/forward.h"

namespace qhx::forge {
namespace {

constexpr std::size_t kShownOfAKind = 3;
constexpr double kSmallPartOfNorm = 0.01;

// What measured stages of one index need.
class Needs {
 public:
  Needs(const RangeTable& ranges, std::size_t index) : ranges_(ranges), index_(index) {}

  int of(std::initializer_list<std::string_view> kinds) const {
    int most = 0;
    for (const std::string_view kind : kinds) {
      const auto range = ranges_.find(reference::Stage{kind, index_}.name());
      if (range != ranges_.end()) most = std::max(most, needed_exponent(range->second.largest()));
    }
    return most;
  }

 private:
  const RangeTable& ranges_;
  std::size_t index_;
};

// The exponent that all stages of a residual stream share.
int choose_residual(const hf::ModelConfig& config, const RangeTable& ranges,
                    std::string_view entrance, std::string_view part) {
  ScalePlan probe;
  (part == "vision" ? probe.vision_residual : probe.text_residual) = 1;
  int most = 0;
  for (const MeasuredStage& stage : measured_stages(config)) {
    if (stage.exponent(probe) == 0 && stage.kind->kind != entrance) continue;
    const auto range = ranges.find(stage.name);
    if (range != ranges.end()) most = std::max(most, needed_exponent(range->second.largest()));
  }
  return most;
}

// Sentences of one kind: the first few, then how many more there are.
class Warnings {
 public:
  void add(std::string kind, std::string text) {
    const std::size_t count = ++counts_[kind];
    if (count <= kShownOfAKind) shown_.push_back(std::move(text));
  }
  std::vector<std::string> take() {
    for (const auto& [kind, count] : counts_) {
      if (count > kShownOfAKind)
        shown_.push_back(std::to_string(count - kShownOfAKind) + " more of \"" + kind + "\"");
    }
    return std::move(shown_);
  }

 private:
  std::map<std::string, std::size_t> counts_;
  std::vector<std::string> shown_;
};

void warn_about(const MeasuredStage& stage, const Range& range, int exponent, Warnings& warnings) {
  const std::string what = stage.description();
  const double factor = std::ldexp(1.0, -exponent);
  const double largest = static_cast<double>(range.largest()) * factor;
  const std::string kind(stage.kind->kind);
  if (range.not_finite() > 0) {
    warnings.add(kind + ", not finite",
                 what + ": " + std::to_string(range.not_finite()) +
                     " values are not finite in 32-bit floats either: is the checkpoint damaged?");
  } else if (largest > static_cast<double>(kLargestHalf)) {
    warnings.add(kind + ", overflow",
                 what + ": reaches " + in_digits(largest, 3) +
                     ", beyond the largest 16-bit float (65504), and no exact rescaling exists "
                     "here: expect infinities");
  } else if (largest * static_cast<double>(kSafetyMargin) > static_cast<double>(kLargestHalf)) {
    warnings.add(kind + ", little room",
                 what + ": reaches " + in_digits(largest, 3) +
                     ", near the largest 16-bit float (65504), and no exact rescaling exists "
                     "here: other inputs might overflow");
  }
  const double typical =
      (stage.kind->residual ? static_cast<double>(range.median()) : range.rms()) * factor;
  if (range.largest() > 0 && typical < static_cast<double>(kSmallestNormalHalf)) {
    warnings.add(kind + ", small",
                 what + ": its values are about " + in_digits(typical, 3) +
                     ", below the smallest normal 16-bit float (6.1e-05): " +
                     in_digits(100 * range.part_below(kSmallestNormalExponent + exponent), 3) +
                     " % of them lose precision");
  }
}

}  // namespace

int needed_exponent(float largest) {
  int exponent = 0;
  while (std::ldexp(largest * kSafetyMargin, -exponent) > kLargestHalf && exponent < 64) ++exponent;
  return exponent;
}

ScalePlan choose_scales(const hf::ModelConfig& config, const RangeTable& ranges) {
  ScalePlan plan;
  plan.vision_residual = choose_residual(config, ranges, "vision_in", "vision");
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    const Needs needs(ranges, i);
    const int products = (needs.of({"block_scores"}) + 1) / 2;  // of two values that are smaller
    plan.vision_attention.push_back(
        std::max({plan.vision_residual, products,
                  needs.of({"block_norm1", "block_q", "block_k", "block_v", "block_attn"})}));
  }
  for (std::size_t k = 0; k < config.vision.deepstack_layers.size(); ++k)
    plan.deepstack.push_back(Needs(ranges, k).of({"deepstack"}));
  plan.text_residual = choose_residual(config, ranges, "text_in", "text");
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    const Needs needs(ranges, i);
    TextScales scales;
    scales.attention = std::max(
        plan.text_residual,
        needs.of({"layer_norm1", "layer_q_proj", "layer_k_proj", "layer_v", "layer_attn"}));
    scales.k = needs.of({"layer_k"});
    scales.q = std::max(needs.of({"layer_q"}), needs.of({"layer_scores"}) - scales.k);
    scales.mlp =
        std::max(plan.text_residual, needs.of({"layer_norm2", "layer_up", "layer_product"}));
    plan.text.push_back(scales);
  }
  return plan;
}

std::vector<std::string> range_warnings(const hf::ModelConfig& config, const RangeTable& ranges,
                                        const ScalePlan& plan) {
  Warnings warnings;
  for (const MeasuredStage& stage : measured_stages(config)) {
    const auto range = ranges.find(stage.name);
    if (range != ranges.end()) warn_about(stage, range->second, stage.exponent(plan), warnings);
  }
  return warnings.take();
}

namespace {

struct ScaledNorm {
  std::string name;
  int exponent;
};

// The norms' weights that a plan makes smaller. (Biases are added to larger values.)
std::vector<ScaledNorm> scaled_norms(const hf::ModelConfig& config, const ScalePlan& plan) {
  std::vector<ScaledNorm> all;
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    all.push_back(
        {"model.visual.blocks." + std::to_string(i) + ".norm1.weight", plan.block_attention(i)});
  }
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    const std::string layer = "model.language_model.layers." + std::to_string(i) + ".";
    const TextScales s = plan.layer(i);
    all.push_back({layer + "input_layernorm.weight", s.attention});
    all.push_back({layer + "self_attn.q_norm.weight", s.q});
    all.push_back({layer + "self_attn.k_norm.weight", s.k});
    all.push_back({layer + "post_attention_layernorm.weight", s.mlp});
  }
  std::erase_if(all, [](const ScaledNorm& norm) { return norm.exponent == 0; });
  return all;
}

}  // namespace

Result<std::vector<std::string>> norm_warnings(const hf::ModelConfig& config,
                                               const hf::Checkpoint& checkpoint,
                                               const ScalePlan& plan) {
  Warnings warnings;
  for (const auto& [name, exponent] : scaled_norms(config, plan)) {
    QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint.find(name));
    QHX_ASSIGN_OR_RETURN(const std::vector<float> values, hf::read_f32(tensor));
    Range range;
    range.add(values);
    const double part = range.part_below(kSmallestNormalExponent + exponent);
    if (part < kSmallPartOfNorm) continue;
    warnings.add("small norm weights",
                 "tensor " + name + ": multiplied by 2^-" + std::to_string(exponent) +
                     " against overflow, " + in_digits(100 * part, 3) +
                     " % of its weights are below the smallest normal 16-bit float (6.1e-05) and "
                     "lose precision");
  }
  return warnings.take();
}

}  // namespace qhx::forge
