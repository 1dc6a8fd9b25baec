// Runs a model's graphs in the process that built them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "qnn/context.h"

namespace qhx::forge {

using FloatTensors = std::map<std::string, std::vector<float>>;

// Executes a graph on float values, converted to and from its tensors' types (FLOAT_32, FLOAT_16).
// Inputs that `inputs` lacks are zero.
Result<FloatTensors> run_graph(const qnn::Graph& graph, const FloatTensors& inputs);

// Of two lists of the same length (QHX_CHECK); NaN if one has nothing but zeros.
double cosine(std::span<const float> a, std::span<const float> b);

// A text graph's mask [rows, context_rows + rows]: row r sees the first `filled` rows of the cache
// and this call's rows up to itself.
std::vector<float> causal_mask(std::uint32_t rows, std::uint32_t context_rows,
                               std::uint32_t filled);

}  // namespace qhx::forge
