// Where a QNN library's own log goes: to our sink, without the lines known to be harmless, and the
// last errors are kept so that a failed call can say what the library said about it.
#pragma once

#include <string>

#include "qnn/abi/qnn_types.h"

namespace qhx::qnn {

// The callback to hand to logCreate. Thread-safe. Formats, drops known noise, forwards to
// qhx::log().
void log_callback(const char* format, QnnLog_Level_t level, std::uint64_t timestamp,
                  std::va_list arguments);

// The most talkative level worth asking a library for, given our sink's level.
QnnLog_Level_t wanted_log_level();

// Error lines that reached the callback since the last call, joined by "; ", and forgets them. At
// most the last few. Lines of calls made on other threads at the same time are included.
std::string take_recent_errors();

// While this object lives, what the process writes to stdout is discarded: some libraries greet on
// stdout when loaded, where a program's own output belongs. Not thread-safe against other users of
// stdout: used around loading only.
class SilentStdout {
 public:
  SilentStdout();
  ~SilentStdout();
  SilentStdout(const SilentStdout&) = delete;
  SilentStdout& operator=(const SilentStdout&) = delete;

 private:
  int saved_ = -1;
};

}  // namespace qhx::qnn
