#include "forge/ranges/choose_integers.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <map>

#include "forge/ranges/choose.h"
#include "forge/ranges/stages.h"

namespace qhx::forge {
namespace {

constexpr double kSteps = 65535;  // between the least and the greatest of 16-bit integers

// Parts of one encoder or decoder that could be in integers.
class Parts {
 public:
  Parts(const hf::ModelConfig& config, const RangeTable& ranges, const ScalePlan& scales)
      : ranges_(ranges), scales_(scales) {
    for (MeasuredStage& stage : measured_stages(config)) {
      const std::string kind(stage.kind->kind);
      stages_[kind].push_back(std::move(stage));
    }
  }

  // A part whose activations are the stages of these kinds: if it is taken, `reaches[index]`.
  template <class Reach, std::size_t N>
  void add(std::vector<Reach>& reaches, std::size_t index,
           const std::array<const char*, N>& kinds) {
    static_assert(sizeof(Reach) == N * sizeof(float));
    std::array<float, N> found{};
    Part part;
    double worst = 0;
    for (std::size_t i = 0; i < N; ++i) {
      const MeasuredStage& stage = stages_.at(kinds[i]).at(index);
      const auto range = ranges_.find(stage.name);
      if (range == ranges_.end()) return;
      const double noise = rounding_noise(range->second);
      part.noise += noise;
      if (noise > worst) {
        worst = noise;
        part.why = stage.description() + ": in floats, for 16-bit integers would add " +
                   in_digits(noise, 2) + " of its power";
      }
      found[i] = std::ldexp(range->second.largest() * kSafetyMargin, -stage.exponent(scales_));
    }
    part.take = [&reaches, index, found] {
      if (reaches.size() <= index) reaches.resize(index + 1);
      reaches[index] = std::bit_cast<Reach>(found);
    };
    parts_.push_back(std::move(part));
  }

  // Takes what may be taken, and says of the others why not.
  void choose(std::vector<std::string>& kept) {
    std::stable_sort(parts_.begin(), parts_.end(),
                     [](const Part& a, const Part& b) { return a.noise < b.noise; });
    double sum = 0;
    for (const Part& part : parts_) {
      sum += part.noise;
      if (sum <= kMostRoundingNoise) {
        part.take();
      } else {
        kept.push_back(part.why);
      }
    }
  }

 private:
  struct Part {
    double noise = 0;
    std::string why;  // it is not taken, if it is not
    std::function<void()> take;
  };
  const RangeTable& ranges_;
  const ScalePlan& scales_;
  std::map<std::string, std::vector<MeasuredStage>, std::less<>> stages_;  // by kind, in order
  std::vector<Part> parts_;
};

}  // namespace

double rounding_noise(const Range& range) {
  if (range.not_finite() > 0 || range.largest() == 0) return INFINITY;
  const double step =
      2 * static_cast<double>(kSafetyMargin) * static_cast<double>(range.largest()) / kSteps;
  // The mean square of a value that is spread evenly over a step.
  return step * step / 12 / (range.rms() * range.rms());
}

IntegerChoice choose_integers(const hf::ModelConfig& config, const RangeTable& ranges,
                              const ScalePlan& scales) {
  IntegerChoice out;
  Parts vision(config, ranges, scales), text(config, ranges, scales);
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    vision.add(out.plan.vision_mlp, i,
               std::array{"block_norm2", "block_fc1", "block_gelu", "block_fc2"});
  }
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    text.add(out.plan.text_o, i, std::array{"layer_attn", "layer_o"});
    text.add(out.plan.text_mlp, i,
             std::array{"layer_norm2", "layer_gate", "layer_up", "layer_product", "layer_down"});
  }
  vision.choose(out.kept);
  text.choose(out.kept);
  return out;
}

}  // namespace qhx::forge
