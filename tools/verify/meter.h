// How far a check is, on stderr, if it takes longer than two seconds.
#pragma once

#include <chrono>
#include <string_view>

#include "base/progress.h"

namespace qhx::verify {

// One thread.
class Meter {
 public:
  // `total` is the sum of all work that it will be told.
  explicit Meter(double total) : total_(total) {}
  // As Advance (verify/trace.h).
  void operator()(double done, std::string_view next);

 private:
  using Clock = std::chrono::steady_clock;
  ProgressLine line_{stderr};
  Clock::time_point start_ = Clock::now();
  double total_, done_ = 0;
};

}  // namespace qhx::verify
