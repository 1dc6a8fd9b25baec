// Which matrices have 4 bits and which int8, so that all fit a budget and the outputs suffer least.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/status.h"
#include "forge/quant/weight_plan.h"
#include "forge/rounding/round_model.h"

namespace qhx::forge {

// Bytes that a matrix takes.
double stored_bytes(const RoundingErrors& matrix, quant::WeightFormat format);

using FormatChoice = std::map<std::string, quant::WeightFormat, std::less<>>;

// All begin with 4 bits; then those become int8 that lower the sum of the outputs' squared relative
// errors most for each byte they add, as long as there is room. kInvalidArgument if 4 bits
// are too many already.
Result<FormatChoice> choose_formats(std::span<const RoundingErrors> matrices, double budget_bytes);

}  // namespace qhx::forge
