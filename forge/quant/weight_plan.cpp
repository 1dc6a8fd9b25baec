#include "forge/quant/weight_plan.h"

#include "base/check.h"

namespace qhx::quant {

std::string_view name(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kF16:
      return "f16";
    case WeightFormat::kW8:
      return "w8";
    case WeightFormat::kW4:
      return "w4";
  }
  QHX_CHECK(false);
}

std::optional<WeightFormat> parse_format(std::string_view text) {
  for (const WeightFormat format :
       {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kW8, WeightFormat::kW4}) {
    if (text == name(format)) return format;
  }
  return std::nullopt;
}

double bits_per_weight(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 32;
    case WeightFormat::kF16:
      return 16;
    case WeightFormat::kW8:
      return 8;
    case WeightFormat::kW4:
      return 4 + 16.0 / kGroupSize;
  }
  QHX_CHECK(false);
}

bool is_text_weight(std::string_view tensor) { return !tensor.starts_with("model.visual."); }

WeightFormat WeightPlan::of(std::string_view tensor, std::size_t in) const {
  const auto own = own_.find(tensor);
  const WeightFormat wanted = own == own_.end() ? usual_ : own->second;
  const bool grouped = is_text_weight(tensor) && in > 0 && in % kGroupSize == 0;
  return wanted == WeightFormat::kW4 && !grouped ? WeightFormat::kW8 : wanted;
}

}  // namespace qhx::quant
