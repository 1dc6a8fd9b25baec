// One matrix of a checkpoint, rounded to 4-bit groups in pieces of rows.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/safetensors.h"
#include "forge/rounding/error_feedback.h"

namespace qhx::forge {

struct RoundedMatrix {
  std::vector<std::uint8_t> packed;   // as quant::RoundedWriter takes them
  std::vector<std::uint16_t> scales;  // 16-bit floats
  // Squared errors of the outputs, and what they are a part of: on a sample of the rows.
  double signal = 0, compensated = 0, nearest = 0, int8 = 0;
};

// kCorrupt or kOutOfRange for values that have no 4-bit form, naming the tensor.
Result<RoundedMatrix> round_matrix(const hf::TensorView& tensor, const ErrorFeedback& feedback,
                                   ThreadPool& pool);

}  // namespace qhx::forge
