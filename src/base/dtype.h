// Element types that cross a boundary: files, graph edges, dumps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qhx {

enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kBool
};

constexpr std::size_t size_bytes(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
    case DType::kU16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
    case DType::kI64:
      return 8;
  }
  return 0;
}

// "f32", "f16", "i8" …
std::string_view name(DType type);

}  // namespace qhx
