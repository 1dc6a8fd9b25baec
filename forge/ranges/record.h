// Measured ranges as forge.json keeps them, and plans as they pass to other processes.
#pragma once

#include <nlohmann/json.hpp>

#include "forge/ranges/ranges.h"

namespace qhx::forge {

// {"inputs", "warnings", "scaled": {tensor: exponent} of those that the plan makes smaller by 2^-k,
// "tensors": {tensor: {"max", "rms", "median"}} of all, in the order of computation}.
nlohmann::ordered_json range_record(const hf::ModelConfig& config, const RangeReport& report);

// A plan as text, and back. parse_plan() throws json::exception for what is none.
nlohmann::json print_plan(const ScalePlan& plan);
ScalePlan parse_plan(const nlohmann::json& json);

}  // namespace qhx::forge
