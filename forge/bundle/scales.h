// The stage of a forge that measures activations and decides how the graphs scale them. Only
// targets whose activations are 16-bit floats have it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/arch/scale_plan.h"
#include "forge/bundle/options.h"
#include "forge/hf/config.h"
#include "forge/ranges/ranges.h"
#include "manifest/manifest.h"

namespace qhx::forge {

struct ActivationScales {
  ScalePlan plan;
  nlohmann::ordered_json record;  // what forge.json keeps; null: the target has no such stage

  std::vector<std::string> warnings() const;  // of the record
};

// Some of them may become integers.
bool computes_integers(const ForgeOptions& options);
bool measures_activations(const ForgeOptions& options);

// The pictures and prompts that options.calibrate names, with the model's own turns around them.
Result<CalibrationSet> calibration_set(CalibrationUse use, const ForgeOptions& options,
                                       const hf::ModelConfig& config,
                                       std::string_view tokenizer_json, const manifest::Chat& chat);

// Measures, or reads what an earlier run of the same work left in `folder`; what it measures it
// leaves there, in a file that no bundle keeps. With options.measure off: no scales and a warning.
Result<ActivationScales> find_scales(const ForgeOptions& options, const hf::ModelConfig& config,
                                     const hf::Checkpoint& checkpoint, const CalibrationSet& set,
                                     const std::filesystem::path& folder, ThreadPool& pool,
                                     const RangeProgress& progress);

}  // namespace qhx::forge
