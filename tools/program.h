// What command-line programs share: how errors are shown, where our libraries lie, and what
// happens on a signal.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/status.h"

namespace qhx::tools {

// Control characters become spaces: messages and reports quote bytes of files and arguments.
std::string one_line(std::string text);

// One line on stderr, "qhx: error: …", if there is an error. Returns the exit code.
int report_error(const Status& status);

// The whole text on stdout, now. kIoError if it cannot be written.
Status print(const std::string& text);

// What `work` returns. Nothing of ours throws, but the standard library does when memory runs out.
Status guarded(const std::function<Status()>& work);
// Path of the running program's file.
std::string this_program();

// libQhxCpu.so beside this program: ../lib/libQhxCpu.so, else in the program's own folder, else the
// bare name for the loader to find.
std::string default_library();

// Turns SIGINT and SIGTERM into a request to stop while it lives. If the program has not come to
// an end two seconds after the first signal, or at a second one, `last_resort` is called (on
// another thread) and the process exits. Made before other threads are started: they inherit the
// blocked signals.
class StopSignal {
 public:
  explicit StopSignal(std::function<void()> last_resort);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  const std::atomic<bool>& requested() const { return requested_; }

 private:
  void watch();

  std::function<void()> last_resort_;
  std::atomic<bool> requested_ = false;
  std::atomic<bool> done_ = false;
  std::thread watcher_;
};

}  // namespace qhx::tools
