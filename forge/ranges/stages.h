// The activations that forge measures: what each is to a reader of the checkpoint, and which
// exponent of a plan makes it smaller.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "forge/arch/scale_plan.h"
#include "forge/hf/config.h"

namespace qhx::forge {

// A kind of reference::Stage.
struct StageKind {
  std::string_view kind;
  std::string_view what;  // with "#" where the index goes
  // Null where no exact rescaling is possible.
  int (*exponent)(const ScalePlan& plan, std::size_t index);
  // Norms look at values far below the largest: a residual stream has channels of its own sizes.
  bool residual = false;
};

// One activation of a model.
struct MeasuredStage {
  const StageKind* kind = nullptr;
  std::size_t index = 0;
  std::string name;  // as reference::Stage::name()

  // "model.visual.blocks.5.mlp.linear_fc1, output (block_fc1_05)".
  std::string description() const;
  int exponent(const ScalePlan& plan) const {
    return kind->exponent == nullptr ? 0 : kind->exponent(plan, index);
  }
};

// All that a model of this configuration has, in the order of computation.
std::vector<MeasuredStage> measured_stages(const hf::ModelConfig& config);

}  // namespace qhx::forge
