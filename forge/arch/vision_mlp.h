// The MLP of the vision encoder's blocks: two linears with GELU between them.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "forge/arch/graph_ops.h"
#include "forge/arch/vision_form.h"
#include "forge/arch/weights.h"

namespace qhx::forge {

// One part of the inner width. The outputs of all parts add up; the first has fc2's bias.
struct VisionMlpPiece {
  Linear fc1, fc2;
};

// `prefix` is that of the block, with a dot; what leaves is smaller by 2^-residual.
Result<std::vector<VisionMlpPiece>> load_vision_mlp(const WeightLoader& weights,
                                                    const std::string& prefix, int residual);

// `name` is for constants, unique in the graph.
qnn::Value vision_mlp(GraphOps& ops, const qnn::Value& x, std::span<const VisionMlpPiece> pieces,
                      int residual, const std::string& name);

}  // namespace qhx::forge
