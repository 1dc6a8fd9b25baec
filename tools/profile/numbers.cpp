#include "profile/numbers.h"

#include <cstdio>

namespace qhx::profile {
namespace {

template <typename... Args>
std::string format(const char* text, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, text, args...);
  return buffer;
}

}  // namespace

std::string milliseconds(double us) { return format(us < 1e5 ? "%.2f" : "%.1f", us / 1e3); }

std::string megabytes(std::uint64_t bytes) {
  return format("%.1f", static_cast<double>(bytes) / 1e6);
}

std::string percent(double part, double of) {
  return of > 0 ? format("%.0f", 100 * part / of) : "-";
}

std::string change(double before, double after) {
  return before > 0 ? format("%+.1f %%", 100 * (after / before - 1)) : "-";
}

}  // namespace qhx::profile
