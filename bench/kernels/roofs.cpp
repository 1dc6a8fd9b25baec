#include "roofs.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "machine_limits/limits.h"

namespace qhx::bench {
namespace {

constexpr std::size_t kRepetitions = 3, kReadBytes = std::size_t{512} << 20;
constexpr double kSeconds = 0.05;

// Instruction sets by what they need, in the order of what CPUs got.
int rank(std::string_view isa) {
  if (isa.starts_with("avx512")) return 2;
  return 1;
}

double best_peak(std::string_view target, std::string_view numbers) {
  if (target == "scalar") return 0;
  double best = 0;
  for (const Peak& peak : all_peaks()) {
    if (peak.what != numbers || !peak.supported() || rank(peak.isa) > rank(target)) continue;
    best = std::max(best, measure_peak(peak, 1, kRepetitions, kSeconds).max());
  }
  return best;
}

}  // namespace

double peak_roof(std::string_view target, std::string_view numbers) {
  static std::map<std::pair<std::string, std::string>, double> known;
  const std::pair key{std::string(target), std::string(numbers)};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known[key] = best_peak(target, numbers);
}

double read_roof() {
  static const double roof = measure_read(kReadBytes, Pages::kSmall, 1, kRepetitions).max();
  return roof;
}

}  // namespace qhx::bench
