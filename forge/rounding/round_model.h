// Rounds the matrices of a text decoder and its head to 4-bit groups, by what their inputs are on a
// calibration set, into a file of quant::RoundedWeights.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"
#include "forge/quant/weight_plan.h"
#include "forge/ranges/calibration.h"

namespace qhx::forge {

// What rounding does to a linear: the root mean square error of its outputs on the calibration set
// over their root mean square, on a sample of the outputs.
struct RoundingErrors {
  std::string tensor;
  std::size_t elements = 0;
  double compensated = 0;  // as it was written
  double nearest = 0;      // 4-bit groups without compensation
  double int8 = 0;         // one scale an output channel
};

// Told often how much is done, from 0 to 1; an error stops the work.
using RoundingProgress = std::function<Status(double fraction)>;

// Those matrices that `plan` has in 4 bits, in the order of computation. `file` appears when all
// are done.
Result<std::vector<RoundingErrors>> round_model(const hf::Checkpoint& checkpoint,
                                                const hf::ModelConfig& config,
                                                const quant::WeightPlan& plan,
                                                const CalibrationSet& set,
                                                const std::filesystem::path& file, ThreadPool& pool,
                                                const RoundingProgress& progress);

// How long that takes, in products of two numbers.
double rounding_products(const hf::ModelConfig& config, const CalibrationSet& set);

}  // namespace qhx::forge
