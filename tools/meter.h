// How far a program is, on stderr, if it takes longer than two seconds.
#pragma once

#include <chrono>
#include <string_view>

#include "base/progress.h"

namespace qhx::tools {

// One thread.
class Meter {
 public:
  // `total` is the sum of all work that it will be told.
  explicit Meter(double total) : total_(total) {}
  // Work that was done since the last call, and what comes next.
  void operator()(double done, std::string_view next);

 private:
  using Clock = std::chrono::steady_clock;
  ProgressLine line_{stderr};
  Clock::time_point start_ = Clock::now();
  double total_, done_ = 0;
};

}  // namespace qhx::tools
