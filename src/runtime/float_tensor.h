// A graph's input or output in memory, seen as floats whatever its element type is.
#pragma once

#include <span>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "qnn/tensor.h"
#include "qnn/tensor_memory.h"

namespace qhx::runtime {

// Owns the tensor's bytes, which come from `memory` and are zero at first. Element types: FLOAT_32,
// FLOAT_16, and the 8- and 16-bit fixed-point types with one scale for the whole tensor. For
// FLOAT_32 the floats are the bytes themselves; otherwise they are a copy, and store() and load()
// convert. Move-only, one thread.
class FloatTensor {
 public:
  // kUnsupported, naming the tensor, for other element types.
  static Result<FloatTensor> create(const qnn::TensorInfo& info,
                                    const qnn::TensorMemory& memory = {});
  FloatTensor() = default;

  std::span<float> floats() {
    return floats_.as<float>().empty() ? bytes_.as<float>() : floats_.as<float>();
  }
  std::span<std::byte> bytes() { return bytes_.bytes(); }

  // Floats to bytes: to nearest, out-of-range values to the nearest representable ones (halves
  // become infinite). Bytes to floats. `first` and `count` limit the work to a part.
  void store(std::size_t first, std::size_t count);
  void load(std::size_t first, std::size_t count);
  void store() { store(0, count_); }
  void load() { load(0, count_); }

 private:
  qnn::TensorInfo info_;
  std::size_t count_ = 0;
  qnn::TensorBuffer bytes_;
  AlignedBuffer floats_;
};

}  // namespace qhx::runtime
