#include "base/progress.h"

#include <unistd.h>

#include <algorithm>

namespace qhx {
namespace {

using namespace std::chrono_literals;

// "1:05" or "2:03:04".
std::string clock_text(double seconds) {
  const auto total = static_cast<long>(seconds + 0.5);
  char text[48];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  }
  return text;
}

}  // namespace

std::string progress_text(double fraction, std::string_view stage,
                          std::chrono::duration<double> elapsed) {
  fraction = std::clamp(fraction, 0.0, 1.0);
  char percent[16];
  std::snprintf(percent, sizeof percent, "[%3d%%] ", static_cast<int>(fraction * 100));
  std::string text = percent + std::string(stage);
  if (fraction >= 0.01 && fraction < 1.0 && elapsed >= 1s)
    text += ", " + clock_text(elapsed.count() * (1 - fraction) / fraction) + " left";
  return text;
}

ProgressLine::ProgressLine(std::FILE* out) : out_(out), terminal_(::isatty(::fileno(out)) == 1) {}

ProgressLine::~ProgressLine() {
  if (terminal_ && last_ != Clock::time_point()) std::fputs("\r\033[K", out_);
}

void ProgressLine::update(double fraction, std::string_view stage) {
  const Clock::time_point now = Clock::now();
  if (now - last_ < (terminal_ ? 250ms : 3000ms)) return;
  last_ = now;
  const std::string text = progress_text(fraction, stage, now - start_);
  std::fprintf(out_, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(out_);
}

}  // namespace qhx
