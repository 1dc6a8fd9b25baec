// Where messages of libraries go. Libraries never print: they log, and a program decides what
// becomes of it.
#pragma once

#include <functional>
#include <string_view>

namespace qhx {

enum class LogLevel : int { kError = 1, kWarn = 2, kInfo = 3, kDebug = 4 };

std::string_view name(LogLevel level);

using LogSink = std::function<void(LogLevel, std::string_view message)>;

// Replaces the sink and the most talkative level that reaches it. The default passes warnings and
// errors to stderr. Thread-safe; the sink itself is called with a lock held and must not log.
void set_log_sink(LogSink sink, LogLevel max_level);

bool log_enabled(LogLevel level);
void log(LogLevel level, std::string_view message);

}  // namespace qhx
