#include "forge/rounding/choose_formats.h"

#include <algorithm>
#include <vector>

namespace qhx::forge {
namespace {

using quant::WeightFormat;

double added_bytes(const RoundingErrors& matrix) {
  return stored_bytes(matrix, WeightFormat::kW8) - stored_bytes(matrix, WeightFormat::kW4);
}

double gain_per_byte(const RoundingErrors& matrix) {
  return (matrix.compensated * matrix.compensated - matrix.int8 * matrix.int8) /
         added_bytes(matrix);
}

}  // namespace

double stored_bytes(const RoundingErrors& matrix, WeightFormat format) {
  return static_cast<double>(matrix.elements) * quant::bits_per_weight(format) / 8;
}

Result<FormatChoice> choose_formats(std::span<const RoundingErrors> matrices, double budget_bytes) {
  FormatChoice choice;
  double bytes = 0;
  std::vector<const RoundingErrors*> order;
  for (const RoundingErrors& matrix : matrices) {
    choice[matrix.tensor] = WeightFormat::kW4;
    bytes += stored_bytes(matrix, WeightFormat::kW4);
    order.push_back(&matrix);
  }
  if (bytes > budget_bytes) {
    return invalid_argument(
        "--budget: allows " +
        std::to_string(static_cast<std::uint64_t>(std::max(budget_bytes, 0.0))) +
        " bytes for matrices that take " + std::to_string(static_cast<std::uint64_t>(bytes)) +
        " in 4 bits");
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const RoundingErrors* a, const RoundingErrors* b) {
                     return gain_per_byte(*a) > gain_per_byte(*b);
                   });
  for (const RoundingErrors* matrix : order) {
    if (gain_per_byte(*matrix) <= 0 || bytes + added_bytes(*matrix) > budget_bytes) continue;
    bytes += added_bytes(*matrix);
    choice[matrix->tensor] = WeightFormat::kW8;
  }
  return choice;
}

}  // namespace qhx::forge
