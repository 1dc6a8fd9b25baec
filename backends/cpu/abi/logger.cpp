#include "abi/logger.h"

#include <chrono>
#include <cstdarg>

namespace qhx::cpu::abi {
namespace {

// The callback takes a va_list, so the message goes through an ellipsis.
void emit(QnnLog_Callback_t callback, QnnLog_Level_t level, std::uint64_t timestamp,
          const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  callback(format, level, timestamp, arguments);
  va_end(arguments);
}

}  // namespace

void Logger::log(QnnLog_Level_t level, const std::string& message) const {
  if (callback_ == nullptr || level > level_) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  emit(callback_, level, static_cast<std::uint64_t>(microseconds), "%s", message.c_str());
}

}  // namespace qhx::cpu::abi
