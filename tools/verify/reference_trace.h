// The same picture and prompt through the reference forward pass of the checkpoint.
#pragma once

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"
#include "reference/weights.h"
#include "verify/trace.h"
#include "vision/patches.h"

namespace qhx::verify {

struct ReferenceRun {
  const hf::ModelConfig& config;
  const hf::Checkpoint& checkpoint;
  vision::PatchParams patches;  // the bundle's
};

// What trace_reference() tells `advance` in all, unless the answer ends sooner.
Result<double> reference_work(const ReferenceRun& run, const Input& input, std::size_t tokens);

// Feeds input.answer_ids if there are any. Else its own likeliest tokens, `tokens` of them or until
// one of `stop_ids`, and puts them there.
Result<Trace> trace_reference(const ReferenceRun& run, const reference::WeightPlan& plan,
                              Input& input, std::size_t tokens,
                              const std::vector<std::int32_t>& stop_ids, ThreadPool& pool,
                              const Advance& advance);

}  // namespace qhx::verify
