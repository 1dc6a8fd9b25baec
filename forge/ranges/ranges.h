// Where fp16 could overflow or lose: a model's activations measured with the fp32 reference, and
// what follows for its graphs. For targets whose activations are 16-bit floats.
//
//   make_calibration_set()   inputs
//   plan_scales()            measures on them, chooses exponents, says what they cannot mend
//   build_…(…, report.plan)  graphs that compute with them
//   range_record()           what forge.json keeps
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/arch/scale_plan.h"
#include "forge/hf/config.h"
#include "forge/ranges/calibration.h"
#include "forge/ranges/range.h"

namespace qhx::forge {

struct RangeReport {
  std::string inputs;  // what was measured on; empty: nothing was
  RangeTable ranges;
  ScalePlan plan;
  std::vector<std::string> warnings;
  std::vector<std::string> floats;  // what stays in floats though integers are wanted, and why
};

// Told often how much is done, from 0 to 1; an error stops the work.
using RangeProgress = std::function<Status(double fraction)>;

// Runs the reference over the set, one layer's weights in memory at a time.
Result<RangeTable> measure_ranges(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                  const CalibrationSet& set, ThreadPool& pool,
                                  const RangeProgress& progress);

// `integers`: 16-bit ones instead of floats where activations bear them.
Result<RangeReport> plan_scales(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                const CalibrationSet& set, bool integers, ThreadPool& pool,
                                const RangeProgress& progress);

// Of a bundle made without measuring: no scales, and a warning that says so.
RangeReport not_measured();

}  // namespace qhx::forge
