// From measured ranges to what graphs compute in 16-bit integers.
#pragma once

#include <string>
#include <vector>

#include "forge/arch/scale_plan.h"
#include "forge/hf/config.h"
#include "forge/ranges/range.h"

namespace qhx::forge {

// What rounding to integers may add to the activations of an encoder or decoder in all: the sum of
// the noise of each, as a part of its power. The residual stream outweighs the branches that are
// rounded: measured on a trained model, a sum of 1.3e-4 took 1e-5 from the cosine of its output.
inline constexpr double kMostRoundingNoise = 5e-4;

// The noise of integers that reach kSafetyMargin times the largest value measured, beyond which
// they are cut off. Infinite where there is nothing to go by.
double rounding_noise(const Range& range);

// Integers in the parts of layers that bear them best, until their noise is as much as may be;
// parts with an activation that was not measured stay in floats. `scales` are what the graphs will
// have. `kept`: the parts that are left, with why, a sentence each.
struct IntegerChoice {
  IntegerPlan plan;
  std::vector<std::string> kept;
};
IntegerChoice choose_integers(const hf::ModelConfig& config, const RangeTable& ranges,
                              const ScalePlan& scales);

}  // namespace qhx::forge
