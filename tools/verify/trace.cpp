#include "verify/trace.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <numeric>

namespace qhx::verify {

Best best_of(std::span<const float> logits) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = static_cast<std::ptrdiff_t>(std::min(kBest, ids.size()));
  // NaN counts as the smallest, so that the order is one.
  const auto value = [&](std::int32_t id) {
    const float x = logits[static_cast<std::size_t>(id)];
    return x == x ? x : -std::numeric_limits<float>::infinity();
  };
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(),
                    [&](std::int32_t a, std::int32_t b) {
                      return value(a) != value(b) ? value(a) > value(b) : a < b;
                    });
  Best best;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::int32_t id = ids[static_cast<std::size_t>(i)];
    best.emplace_back(id, value(id));
  }
  return best;
}

const StageValue* Trace::find(std::string_view name) const {
  for (const StageValue& stage : stages) {
    if (stage.name == name) return &stage;
  }
  return nullptr;
}

std::string numbered(std::string_view prefix, std::size_t index) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*s_%03zu", static_cast<int>(prefix.size()), prefix.data(),
                index);
  return text;
}

bool is_picture_stage(std::string_view name) {
  return name == "vision_in" || name == "image_embeds" || name.starts_with("deepstack_");
}

}  // namespace qhx::verify
