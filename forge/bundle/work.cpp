#include "forge/bundle/work.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace qhx::forge {

void Work::plan(std::string stage, double cost) {
  total_ += cost;
  stages_.push_back({std::move(stage), cost});
}

void Work::end_stage() {
  if (next_ == times_.size()) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - stage_start_;
  times_.push_back({stages_[next_ - 1].name, elapsed.count(), std::exchange(peak_in_stage_, 0)});
  done_before_ += stages_[next_ - 1].cost;
  done_in_stage_ = 0;
}

Status Work::begin_next() {
  QHX_CHECK(next_ < stages_.size());
  end_stage();
  ++next_;
  stage_start_ = std::chrono::steady_clock::now();
  return report(fraction(), stages_[next_ - 1].name);
}

Status Work::advance(double cost) {
  done_in_stage_ = std::min(done_in_stage_ + cost, stages_[next_ - 1].cost);
  return report(fraction(), stages_[next_ - 1].name);
}

Status Work::finish() {
  end_stage();
  return report(1.0, "done");
}

// Below 1 also where every planned cost is used up: who sees 1 may rely on the job being done.
double Work::fraction() const {
  return std::min((done_before_ + done_in_stage_) / total_, std::nextafter(1.0, 0.0));
}

Status Work::report(double fraction, std::string_view stage) {
  if (stop_ != nullptr && stop_->load()) return cancelled("stopped on request");
  if (report_) report_(fraction, stage);
  return {};
}

}  // namespace qhx::forge
