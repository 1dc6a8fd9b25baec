// From measured ranges to a plan: which powers of two keep every activation inside 16-bit floats,
// and what cannot be kept there.
#pragma once

#include <string>
#include <vector>

#include "forge/arch/scale_plan.h"
#include "forge/hf/config.h"
#include "forge/ranges/range.h"

namespace qhx::forge {

// Inputs that were not measured may go this much further than those that were.
inline constexpr float kSafetyMargin = 8;

// The smallest exponent k >= 0 with which largest * kSafetyMargin * 2^-k is at most 65504.
int needed_exponent(float largest);

// Zero exponents wherever the ranges leave room. Stages that the table lacks need none.
ScalePlan choose_scales(const hf::ModelConfig& config, const RangeTable& ranges);

// A sentence with the tensor's name for each activation that, with the plan applied, 16-bit floats
// cannot hold (beyond 65504), might not (less room than the margin), or hold with fewer bits than
// they have (below 2^-14). At most a few of a kind: the rest is counted.
std::vector<std::string> range_warnings(const hf::ModelConfig& config, const RangeTable& ranges,
                                        const ScalePlan& plan);

// The same for weights of norms that the plan makes so small that 16-bit floats lose precision.
Result<std::vector<std::string>> norm_warnings(const hf::ModelConfig& config,
                                               const hf::Checkpoint& checkpoint,
                                               const ScalePlan& plan);

}  // namespace qhx::forge
