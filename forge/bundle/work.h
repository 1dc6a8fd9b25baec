// How far a long job is, and whether it should go on.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace qhx::forge {

struct StageTime {
  std::string name;
  double seconds = 0;
  std::uint64_t peak_bytes = 0;  // resident, of the process made for the stage; 0: there was none
};

// A job is a list of stages with a cost each, in any one unit. Used by one thread.
class Work {
 public:
  // Called often, with the done part of the job (0 to 1) and the name of the running stage. Only
  // finish() reports 1.
  using Report = std::function<void(double fraction, std::string_view stage)>;

  // `stop` may be null; once it is true, begin_next(), advance() and finish() return
  // kCancelled and report nothing.
  Work(Report report, const std::atomic<bool>* stop) : report_(std::move(report)), stop_(stop) {}

  // Before the first begin().
  void plan(std::string stage, double cost);

  // Ends the running stage and starts the next planned one.
  Status begin_next();
  // `cost` more of the running stage is done.
  Status advance(double cost);
  // The running stage had a process of its own, which needed this much memory.
  void set_peak(std::uint64_t bytes) { peak_in_stage_ = bytes; }
  Status finish();

  // Of the stages that have ended.
  const std::vector<StageTime>& times() const { return times_; }

 private:
  struct Stage {
    std::string name;
    double cost;
  };
  void end_stage();
  Status report(double fraction, std::string_view stage);
  double fraction() const;

  Report report_;
  const std::atomic<bool>* stop_;
  std::vector<Stage> stages_;
  double total_ = 0;
  std::size_t next_ = 0;    // stages begun
  double done_before_ = 0;  // cost of the stages that have ended
  double done_in_stage_ = 0;
  std::uint64_t peak_in_stage_ = 0;
  std::chrono::steady_clock::time_point stage_start_;
  std::vector<StageTime> times_;
};

}  // namespace qhx::forge
