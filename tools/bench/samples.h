// Repeated measurements of one thing.
#pragma once

#include <vector>

namespace qhx::bench {

// At least one value. A median of an even number of values is the mean of the middle two.
struct Samples {
  std::vector<double> values;  // in the order measured

  void add(double value) { values.push_back(value); }
  bool empty() const { return values.empty(); }
  double min() const;
  double median() const;
  double max() const;
  // `amount` divided by each value: tokens and milliseconds give tokens a millisecond.
  Samples rates(double amount) const;
};

}  // namespace qhx::bench
