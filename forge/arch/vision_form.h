// The two ways the vision encoder is written. They compute the same; which one is fast depends on
// who runs it.
#pragma once

#include <cstdint>

#include "qnn/abi/qnn_types.h"

namespace qhx::forge {

enum class VisionForm {
  // All heads and all rows in one operation: what our CPU library's fusions know.
  kWhole,
  // Each head a chain of its own, its queries in tiles, the MLP in pieces of its inner width: what
  // an HTP device computes without leaving its fast memory. docs/profile.md has what was measured.
  kPieces,
};

// A device computes in 16-bit floats, our CPU library in 32-bit ones.
inline VisionForm vision_form(Qnn_DataType_t activation) {
  return activation == QNN_DATATYPE_FLOAT_16 ? VisionForm::kPieces : VisionForm::kWhole;
}

// Sizes of pieces are multiples of this, the width of a tile of the matrix unit and of a group of
// 4-bit weights.
inline constexpr std::uint32_t kPieceAlignment = 32;

// `total` in `pieces` parts: the size of all but the last, which may be smaller.
inline std::uint32_t piece_size(std::uint32_t total, std::uint32_t pieces) {
  const std::uint32_t size = (total + pieces - 1) / pieces;
  return (size + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment;
}

}  // namespace qhx::forge
