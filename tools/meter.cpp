#include "meter.h"

#include <algorithm>

namespace qhx::tools {

void Meter::operator()(double done, std::string_view next) {
  done_ += done;
  if (Clock::now() - start_ < std::chrono::seconds(2)) return;
  line_.update(std::min(done_ / total_, 1.0), next);
}

}  // namespace qhx::tools
