// A calibration set's way through the reference, one layer's weights in memory at
// a time: what measures activations, and what rounds weights by them, watches it.
#pragma once

#include <functional>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"
#include "forge/ranges/calibration.h"
#include "reference/forward.h"

namespace qhx::forge {

// How long it takes, in products of two numbers.
double calibration_products(const hf::ModelConfig& config, const CalibrationSet& set);
double text_products(const hf::ModelConfig& config, const CalibrationSet& set);

struct CalibrationObserver {
  reference::Observer vision, text;  // may be empty
  // After all prompts have passed layer `index` of the text decoder; may be empty. An error ends
  // the pass.
  std::function<Status(std::size_t index)> layer_done;
  reference::Progress progress;  // calibration_products() in all
};

using PictureOutputs = std::vector<reference::VisionOutput>;
Result<PictureOutputs> run_pictures(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                    const CalibrationSet& set, ThreadPool& pool,
                                    const CalibrationObserver& observer);

// With the weights of `plan`. What the text model gave for each prompt.
Result<std::vector<reference::TextOutput>> run_texts(
    const hf::Checkpoint& checkpoint, const hf::ModelConfig& config, const CalibrationSet& set,
    const PictureOutputs& pictures, const reference::WeightPlan& plan, ThreadPool& pool,
    const CalibrationObserver& observer);

// Both, in 32-bit floats.
Status run_calibration(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                       const CalibrationSet& set, ThreadPool& pool,
                       const CalibrationObserver& observer);

}  // namespace qhx::forge
