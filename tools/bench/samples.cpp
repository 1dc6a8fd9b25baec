#include "bench/samples.h"

#include <algorithm>

#include "base/check.h"

namespace qhx::bench {

double Samples::min() const {
  QHX_CHECK(!empty());
  return *std::min_element(values.begin(), values.end());
}

double Samples::max() const {
  QHX_CHECK(!empty());
  return *std::max_element(values.begin(), values.end());
}

double Samples::median() const {
  QHX_CHECK(!empty());
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

Samples Samples::rates(double amount) const {
  Samples out;
  for (const double value : values) out.add(amount / value);
  return out;
}

}  // namespace qhx::bench
