#include "qnn/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string_view>

#include "base/log.h"

namespace qhx::qnn {
namespace {

constexpr std::size_t kKeptErrors = 4;
constexpr std::size_t kMaxLine = 1024;

// Lines that the HTP library writes for every graph although nothing is wrong.
constexpr std::array<std::string_view, 3> kNoise = {
    "unexpected GraphHtpSettings option", "LIBNATIVE", "Slice_shape uses reference codes"};

struct RecentErrors {
  std::mutex mutex;
  std::deque<std::string> lines;
};
RecentErrors& recent_errors() {
  static RecentErrors* const instance =
      new RecentErrors;  // outlives libraries that log while the process exits
  return *instance;
}

LogLevel our_level(QnnLog_Level_t level) {
  switch (level) {
    case QNN_LOG_LEVEL_ERROR:
      return LogLevel::kError;
    case QNN_LOG_LEVEL_WARN:
      return LogLevel::kWarn;
    case QNN_LOG_LEVEL_INFO:
      return LogLevel::kInfo;
    default:
      return LogLevel::kDebug;
  }
}

void remember_error(std::string_view line) {
  RecentErrors& recent = recent_errors();
  const std::lock_guard lock(recent.mutex);
  if (recent.lines.size() == kKeptErrors) recent.lines.pop_front();
  recent.lines.emplace_back(line);
}

}  // namespace

void log_callback(const char* format, QnnLog_Level_t level, std::uint64_t, std::va_list arguments) {
  char line[kMaxLine];
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  if (length <= 0) return;
  std::string_view text(line, std::min(static_cast<std::size_t>(length), kMaxLine - 1));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const bool noise = std::any_of(kNoise.begin(), kNoise.end(), [&](std::string_view known) {
    return text.find(known) != std::string_view::npos;
  });
  if (noise || text.empty()) return;
  if (level == QNN_LOG_LEVEL_ERROR) {
    // Not an error of ours yet: the failing call returns a code, and its Status carries this line.
    remember_error(text);
    log(LogLevel::kInfo, text);
    return;
  }
  log(std::max(our_level(level), LogLevel::kInfo), text);
}

QnnLog_Level_t wanted_log_level() {
  if (log_enabled(LogLevel::kDebug)) return QNN_LOG_LEVEL_VERBOSE;
  if (log_enabled(LogLevel::kInfo)) return QNN_LOG_LEVEL_INFO;
  return QNN_LOG_LEVEL_ERROR;
}

std::string take_recent_errors() {
  RecentErrors& recent = recent_errors();
  const std::lock_guard lock(recent.mutex);
  std::string joined;
  for (const std::string& line : recent.lines) joined += (joined.empty() ? "" : "; ") + line;
  recent.lines.clear();
  return joined;
}

SilentStdout::SilentStdout() {
  std::fflush(stdout);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  saved_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (saved_ >= 0) ::dup2(nowhere, STDOUT_FILENO);
  ::close(nowhere);
}

SilentStdout::~SilentStdout() {
  std::fflush(stdout);
  if (saved_ < 0) return;
  ::dup2(saved_, STDOUT_FILENO);
  ::close(saved_);
}

}  // namespace qhx::qnn
