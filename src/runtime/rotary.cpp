#include "runtime/rotary.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "vision/positions.h"

namespace qhx::runtime {

RotaryTable::RotaryTable(double theta, std::array<int, 3> section, std::size_t head_dim)
    : frequency_(vision::inverse_frequencies(theta, head_dim)), axis_(head_dim / 2) {
  for (std::size_t j = 0; j < axis_.size(); ++j) {
    const std::size_t axis = j % 3;
    const bool turned = axis != 0 && j < 3 * static_cast<std::size_t>(section[axis]);
    axis_[j] = turned ? static_cast<std::uint8_t>(axis) : 0;
  }
}

void RotaryTable::fill(std::array<std::int32_t, 3> position, std::span<float> cos,
                       std::span<float> sin) const {
  const std::size_t pairs = frequency_.size();
  QHX_CHECK(cos.size() == sin.size() && (cos.size() == pairs || cos.size() == 2 * pairs));
  for (std::size_t j = 0; j < pairs; ++j) {
    const float angle = static_cast<float>(position[axis_[j]]) * frequency_[j];
    cos[j] = std::cos(angle);
    sin[j] = std::sin(angle);
  }
  if (cos.size() == pairs) return;
  std::copy_n(cos.begin(), pairs, cos.begin() + static_cast<std::ptrdiff_t>(pairs));
  std::copy_n(sin.begin(), pairs, sin.begin() + static_cast<std::ptrdiff_t>(pairs));
}

}  // namespace qhx::runtime
