// Weights to 4-bit groups such that a linear's outputs, not its weights, come out near.
#pragma once

#include <cstddef>
#include <cstdint>

#include "forge/rounding/error_feedback.h"

namespace qhx::forge {

// Rounds `rows` rows of w [rows, width] to q (-7..7) and scales [rows, width / 32], 16-bit floats
// all. Each input's error is made up for by the inputs before it; each group has the scale of least
// error among some at and below that of its largest weight. Rows do not depend on each other.
// Single-threaded. Returns the error of the outputs, E H E^T.
double round_compensated(const float* w, std::size_t rows, const ErrorFeedback& feedback,
                         std::int8_t* q, float* scales);

// E H E^T of errors e [rows, width], summed over the rows.
double output_error(const float* e, std::size_t rows, const ErrorFeedback& feedback);

}  // namespace qhx::forge
