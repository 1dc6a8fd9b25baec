// The stage of a forge that tries its weights: quality.json.
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
// Besides the float model at most: the bundle's weights, and the same formats rounded to the
// nearest.
inline constexpr std::size_t kTriedPlans = 2;

// Measures and writes, or reads what an earlier run of the same work wrote.
Result<nlohmann::ordered_json> write_quality(const WeightPlan& shipped,
                                             const hf::ModelConfig& config,
                                             const hf::Checkpoint& checkpoint,
                                             const CalibrationSet& trial,
                                             const std::filesystem::path& folder, ThreadPool& pool,
                                             const std::function<Status(double)>& progress);

}  // namespace qhx::forge
