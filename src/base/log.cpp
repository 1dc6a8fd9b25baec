#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <utility>

namespace qhx {
namespace {

void print_to_stderr(LogLevel level, std::string_view message) {
  const std::string_view label = name(level);
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(label.size()), label.data(),
               static_cast<int>(message.size()), message.data());
}

struct Sink {
  std::mutex mutex;
  LogSink function = print_to_stderr;
  std::atomic<int> max_level = static_cast<int>(LogLevel::kWarn);
};

// Never destroyed: vendor libraries log from their own exit handlers.
Sink& sink() {
  static Sink* const instance = new Sink;
  return *instance;
}

}  // namespace

std::string_view name(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "?";
}

void set_log_sink(LogSink function, LogLevel max_level) {
  const std::lock_guard lock(sink().mutex);
  sink().function = std::move(function);
  sink().max_level = static_cast<int>(max_level);
}

bool log_enabled(LogLevel level) {
  return static_cast<int>(level) <= sink().max_level.load(std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view message) {
  if (!log_enabled(level)) return;
  const std::lock_guard lock(sink().mutex);
  if (sink().function) sink().function(level, message);
}

}  // namespace qhx
