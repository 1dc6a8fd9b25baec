#include "forge/bundle/work.h"

#include <algorithm>

#include "base/check.h"

namespace qhx::forge {

void Work::plan(std::string stage, double cost) {
  total_ += cost;
  stages_.push_back({std::move(stage), cost});
}

void Work::end_stage() {
  if (next_ == times_.size()) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - stage_start_;
  times_.push_back({stages_[next_ - 1].name, elapsed.count()});
  done_before_ += stages_[next_ - 1].cost;
  done_in_stage_ = 0;
}

Status Work::begin_next() {
  QHX_CHECK(next_ < stages_.size());
  end_stage();
  ++next_;
  stage_start_ = std::chrono::steady_clock::now();
  return report();
}

Status Work::advance(double cost) {
  done_in_stage_ = std::min(done_in_stage_ + cost, stages_[next_ - 1].cost);
  return report();
}

void Work::finish() {
  end_stage();
  if (report_) report_(1.0, "done");
}

Status Work::report() {
  if (stop_ != nullptr && stop_->load()) return cancelled("stopped on request");
  if (report_) report_((done_before_ + done_in_stage_) / total_, stages_[next_ - 1].name);
  return {};
}

}  // namespace qhx::forge
