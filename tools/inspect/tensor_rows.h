// Lists of tensors as rows of a table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "qnn/tensor.h"

namespace qhx::inspect {

// Rows of kind, name, type, dimensions, bytes and quantization. Tensors that differ in the number
// at the end of their names alone share a row, "past_k_0 … past_k_27", with the bytes of all.
std::vector<std::vector<std::string>> tensor_rows(std::string_view kind,
                                                  const std::vector<qnn::TensorInfo>& tensors);

}  // namespace qhx::inspect
