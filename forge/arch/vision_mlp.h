// The MLP of the vision encoder's blocks: two linears with GELU between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/arch/graph_ops.h"
#include "forge/arch/integer_ops.h"
#include "forge/arch/integer_plan.h"
#include "forge/arch/vision_form.h"
#include "forge/arch/weights.h"

namespace qhx::forge {

// One part of the inner width. The outputs of all parts add up; the first has fc2's bias.
struct VisionMlpPiece {
  Linear fc1, fc2;
};

// `prefix` is that of the block, with a dot; what leaves is smaller by 2^-residual. `integers` are
// followed where the library takes them for these rows and weights.
struct VisionMlp {
  std::vector<VisionMlpPiece> pieces;
  int inner_exponent = 0;            // what fc2 reads is smaller by two to this power
  std::optional<MlpReach> integers;  // one piece, in 16-bit integers
};
Result<VisionMlp> load_vision_mlp(const WeightLoader& weights, const std::string& prefix,
                                  std::uint32_t rows, int residual,
                                  const std::optional<MlpReach>& integers);

// `name` is for constants, unique in the graph.
qnn::Value vision_mlp(GraphOps& ops, IntegerOps& integers, const qnn::Value& x,
                      const VisionMlp& mlp, const std::string& name);

}  // namespace qhx::forge
