// The stage of a forge that rounds weights to 4 bits by what their inputs are.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/bundle/options.h"
#include "forge/hf/config.h"
#include "forge/rounding/round_model.h"

namespace qhx::forge {

// Kept in the bundle on demand: who has it and the checkpoint knows the bundle's weights.
inline constexpr const char* kRoundedFile = "weights_w4.safetensors";

// Rounds, or uses what an earlier run of the same work left in `folder`. Returns what forge.json
// keeps of it.
Result<nlohmann::ordered_json> round_weights(const ForgeOptions& options,
                                             const hf::ModelConfig& config,
                                             const hf::Checkpoint& checkpoint,
                                             const CalibrationSet& set,
                                             const std::filesystem::path& folder, ThreadPool& pool,
                                             const RoundingProgress& progress);

// How the graphs' weights are stored, with what round_weights() left in `folder`.
Result<WeightPlan> weight_plan(const ForgeOptions& options, const std::filesystem::path& folder);

// The formats that such a record has for a budget. kCorrupt for what is none.
Result<WeightPlan> parse_formats(const nlohmann::ordered_json& record);

}  // namespace qhx::forge
