// Biases of qhx.Linear.
#pragma once

#include "base/status.h"
#include "graph/constant.h"
#include "graph/ir.h"

namespace qhx::cpu {

// A copy of the static tensor `bias` (n floats) padded with zeros to whole panels, as kernels read
// it. Returns its index in the graph.
int add_padded_bias(Graph& graph, int bias, std::uint64_t n, const ConstantTools& tools);

}  // namespace qhx::cpu
