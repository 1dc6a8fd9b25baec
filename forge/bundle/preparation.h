// What the vendor's library made of a context, against what it was asked for: it accepts options
// and weight encodings silently that it then does not follow.
#pragma once

#include "base/status.h"
#include "forge/bundle/contexts.h"
#include "forge/bundle/options.h"
#include "forge/hf/config.h"
#include "qnn/binary_info.h"

namespace qhx::forge {

// Optimization level, VTCM, DLBC, and the bytes of the weights: int8 and 4-bit ones must not have
// become wider. Graphs whose library records none of these pass. kQnn, naming graph, property,
// expected and found value.
Status check_preparation(const ContextJob& job, const ForgeOptions& options,
                         const hf::ModelConfig& config, const qnn::BinaryInfo& binary);

}  // namespace qhx::forge
