// The stage of a forge that tries its 4-bit weights: quality.json.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"
#include "forge/rounding/quality.h"

namespace qhx::forge {

inline constexpr const char* kQualityFile = "quality.json";
// Besides the float model: those of the bundle, and the same formats rounded to the nearest.
inline constexpr std::size_t kTriedPlans = 2;

// Measures and writes, or reads what an earlier run of the same work wrote. `rounding` is what
// round_weights() returned: the sizes are there.
Result<nlohmann::ordered_json> write_quality(const WeightPlan& shipped,
                                             const nlohmann::ordered_json& rounding,
                                             const hf::ModelConfig& config,
                                             const hf::Checkpoint& checkpoint,
                                             const CalibrationSet& trial,
                                             const std::filesystem::path& folder, ThreadPool& pool,
                                             const std::function<Status(double)>& progress);

}  // namespace qhx::forge
