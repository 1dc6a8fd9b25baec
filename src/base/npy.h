// NumPy's .npy files, format 1.0, little-endian, C order: what --dump writes and the parity tests
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace qhx {

// `bytes` holds product(shape) elements of `type` (not bf16, which NumPy lacks). Written
// atomically.
Status write_npy(const std::filesystem::path& path, DType type, std::span<const std::size_t> shape,
                 std::span<const std::byte> bytes);

struct NpyArray {
  DType type = DType::kF32;
  std::vector<std::size_t> shape;
  std::vector<std::byte> bytes;
};
Result<NpyArray> read_npy(const std::filesystem::path& path);

}  // namespace qhx
