// The vision encoder as one QNN graph, for one picture size.
//
//   input   patches [N, Hv]: patch and position embeddings, N patches in merge-block order
//   outputs image_embeds [M, H], deepstack_k [M, H]: M = N / merge^2 tokens in raster order,
//           k counts the deepstack features in the order of their blocks
// Rotary tables depend on the picture's grid alone and are constants of the graph.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "forge/arch/scale_plan.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// Patches of a picture: rows and columns, both multiples of the merge size.
struct PatchGrid {
  std::uint32_t rows = 0, columns = 0;
  std::uint32_t patches() const { return rows * columns; }
};

Result<qnn::Graph> build_vision_encoder(std::shared_ptr<qnn::Context> context,
                                        const hf::ModelConfig& config, const WeightLoader& weights,
                                        PatchGrid grid, const qnn::HtpGraphOptions& htp = {},
                                        const ScalePlan& scales = {});

}  // namespace qhx::forge
