// Tensor descriptions in our own terms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::qnn {

// A graph's input or output as its context binary describes it.
struct TensorInfo {
  std::string name;
  std::uint32_t id = 0;
  Qnn_DataType_t type = QNN_DATATYPE_UNDEFINED;
  std::vector<std::uint32_t> dims;
  // Set for per-tensor quantized edges (fixed-point types): real = (stored + offset) * scale.
  bool quantized = false;
  float scale = 1.0f;
  std::int32_t offset = 0;
  // Which of the interface's encodings the description has; those other than per-tensor ones are
  // named, not read.
  Qnn_QuantizationEncoding_t encoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;

  std::size_t element_count() const;
  std::size_t size_bytes() const;  // element_count() * size of type
};

// Bytes of one element; 0 for a type that has no whole-byte elements here.
std::size_t size_bytes(Qnn_DataType_t type);
std::string_view name(Qnn_DataType_t type);  // "FLOAT_16" …
// "per tensor", "per channel" …; empty for none.
std::string_view name(Qnn_QuantizationEncoding_t encoding);
std::string to_string(const std::vector<std::uint32_t>& dims);  // "[1, 2048]"

// Reads a tensor description that came from a library: null pointers, absurd ranks and sizes are
// kCorrupt.
Result<TensorInfo> read_tensor(const Qnn_Tensor_t& tensor);

}  // namespace qhx::qnn
