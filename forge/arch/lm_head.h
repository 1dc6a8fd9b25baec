// The output head as a QNN graph: x [1, H] -> logits [1, vocab].
#pragma once

#include <memory>

#include "base/status.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// The weight is lm_head.weight, or the embedding matrix where the head is tied to it.
Result<qnn::Graph> build_lm_head(std::shared_ptr<qnn::Context> context,
                                 const hf::ModelConfig& config, const WeightLoader& weights,
                                 const qnn::HtpGraphOptions& htp = {});

}  // namespace qhx::forge
