// What rounding does to a model's answers: its logits against those of the same model in 32-bit
// floats, after every token of prompts that rounding has not seen.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"
#include "forge/quant/weight_plan.h"
#include "forge/ranges/calibration.h"

namespace qhx::forge {

// Kullback-Leibler divergences are in nats, from the probabilities of the float model.
struct Quality {
  std::size_t positions = 0;
  double mean_kl = 0, worst_kl = 0;
  double agreement = 0;  // part of the positions where both like the same token best

  void add(std::span<const float> expected, std::span<const float> found);
};

// sum of p log(p / q) for the softmaxes p, q of two rows of logits.
double kl_divergence(std::span<const float> expected, std::span<const float> found);

// For each plan. Pictures pass the vision encoder in 32-bit floats: what is judged are the text
// decoder and the head. `progress` is told from 0 to 1.
Result<std::vector<Quality>> measure_quality(const hf::Checkpoint& checkpoint,
                                             const hf::ModelConfig& config,
                                             const CalibrationSet& trial,
                                             std::span<const quant::WeightPlan> plans,
                                             ThreadPool& pool,
                                             const std::function<Status(double)>& progress);

// How long that takes, in products of two numbers.
double quality_products(const hf::ModelConfig& config, const CalibrationSet& trial,
                        std::size_t plans);

}  // namespace qhx::forge
