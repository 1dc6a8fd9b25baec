// Checks that a graph is one that can run, whoever made it: our own rewriting passes or a file.
#pragma once

#include "base/status.h"
#include "graph/ir.h"
#include "ops/op.h"

namespace qhx::cpu {

// The tensors of a node. Its indices must be in range.
OpView view_of(const Graph& graph, const Node& node);

// Everything that execution relies on: indices in range, one producer a tensor and before its
// readers, statics with bytes enough, ops that can run, with shapes and types their checks accept.
Status verify_executable(const Graph& graph);

}  // namespace qhx::cpu
