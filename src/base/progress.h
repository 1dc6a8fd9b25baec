// A progress line for programs: percent and time left on stderr.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace qhx {

// "[ 42%] text decoder, 1:05 left". No time is given before it can be judged (`elapsed` of a
// second, 1 % done).
std::string progress_text(double fraction, std::string_view stage,
                          std::chrono::duration<double> elapsed);

// Prints at most four times a second as one line that is written over on a terminal, else a line
// every few seconds. For programs, not libraries. One thread.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* out);
  // Takes an unfinished line off the terminal.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `fraction` from 0 to 1.
  void update(double fraction, std::string_view stage);

 private:
  using Clock = std::chrono::steady_clock;
  std::FILE* out_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_;  // epoch: nothing printed yet
};

}  // namespace qhx
