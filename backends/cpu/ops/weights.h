// Checks of the static weights of linears, in the forms that QNN accepts beside floating-point
// activations.
#pragma once

#include "ops/op.h"

namespace qhx::cpu {

struct WeightAxes {
  std::size_t input;    // index of the weight among the op's inputs
  std::size_t k_axis;   // its dimension of input channels
  std::size_t n_axis;   // its dimension of output channels
  bool groups_allowed;  // whether 4-bit group (BLOCK) encodings may be used with this op
};

// Floating point, or int8 with symmetric scales along n_axis (or groups along k_axis). What HTP
// accepts and computes wrongly (offsets, the wrong axis, values beyond 4 bits) is an error here.
Status check_weight(const OpView& op, const WeightAxes& axes);

// The packed form that `weight` takes as [K, N].
PackedFormat packed_format(const Tensor& weight, std::uint64_t n, std::uint64_t k);

}  // namespace qhx::cpu
