#include "base/f16.h"

#include <cstddef>

#include "base/check.h"

namespace qhx {

void f16_to_f32(std::span<const std::uint16_t> from, std::span<float> to) {
  QHX_CHECK(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = f16_to_f32(from[i]);
}

void f32_to_f16(std::span<const float> from, std::span<std::uint16_t> to) {
  QHX_CHECK(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = f32_to_f16(from[i]);
}

}  // namespace qhx
