#include "bench/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace qhx::bench {
namespace {

// The system counts in ticks of 10 ms on each CPU.
constexpr std::chrono::milliseconds kShortest{100};

// The rest of the first line of `file` that begins with `key` and a colon, without blanks around.
std::string field(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find_first_not_of(" \t", key.size());
    if (colon == line.npos || line[colon] != ':') continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == line.npos ? "" : line.substr(begin);
  }
  return "";
}

std::uint64_t status_kib(const std::string& key) {
  std::istringstream in(field("/proc/self/status", key));
  std::uint64_t kib = 0;
  in >> kib;
  return kib * 1024;
}

// Seconds that all CPUs together were busy since boot; negative if unknown.
double machine_seconds() {
  std::ifstream in("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft_irq = 0, steal = 0;
  in >> name >> user >> nice >> system >> idle >> wait >> irq >> soft_irq >> steal;
  if (!in) return -1;
  return (user + nice + system + irq + soft_irq + steal) /
         static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double own_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

std::string cpu_model() {
  for (const char* key : {"model name", "Hardware", "CPU implementer"}) {
    if (std::string value = field("/proc/cpuinfo", key); !value.empty()) return value;
  }
  return "unknown";
}

std::uint64_t resident_bytes() { return status_kib("VmRSS"); }
// Not getrusage(): its maximum includes what the parent held when it started this program.
std::uint64_t peak_resident_bytes() { return status_kib("VmHWM"); }

OtherLoad::OtherLoad()
    : start_(std::chrono::steady_clock::now()),
      machine_seconds_(machine_seconds()),
      own_seconds_(own_seconds()) {}

double OtherLoad::cores() const {
  const double machine = machine_seconds();
  if (machine < 0 || machine_seconds_ < 0) return -1;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start_;
  if (wall < kShortest) return -1;
  const double others = (machine - machine_seconds_) - (own_seconds() - own_seconds_);
  return std::max(0.0, others / wall.count());
}

}  // namespace qhx::bench
