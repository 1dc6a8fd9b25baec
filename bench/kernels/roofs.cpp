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

// Whether code for the kernel target may use the instruction set.
bool may_use(std::string_view target, std::string_view isa) {
  struct Allowed {
    std::string_view target, sets;
  };
  constexpr Allowed kAllowed[] = {{"avx2", " avx2 "},
                                  {"avx512", " avx2 avx512 "},
                                  {"avx512vnni", " avx2 avx512 avx512_vnni "},
                                  {"avx512bf16", " avx2 avx512 avx512_vnni avx512_bf16 "},
                                  {"neon", " neon "},
                                  {"neondot", " neon dotprod "}};
  for (const Allowed& allowed : kAllowed) {
    if (allowed.target != target) continue;
    return allowed.sets.find(" " + std::string(isa) + " ") != std::string_view::npos;
  }
  return false;
}

double best_peak(std::string_view target, std::string_view numbers) {
  double best = 0;
  for (const Peak& peak : all_peaks()) {
    if (peak.what != numbers || !peak.supported() || !may_use(target, peak.isa)) continue;
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
