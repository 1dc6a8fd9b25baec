// Runs a program that may crash, hang or eat all memory, and survives it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace qhx::forge {

struct WorkerLimits {
  std::uint64_t memory_bytes = 0;   // resident; 0: no limit
  std::chrono::seconds silence{0};  // longest time between two reports; 0: no limit
};

// What a worker says of itself, a line each on its descriptor kWorkerReports.
struct WorkerReport {
  enum class Kind { kAdvance, kDone, kError } kind = Kind::kAdvance;
  double amount = 0;             // kAdvance: units of work done since the last one
  std::uint64_t peak_bytes = 0;  // kDone
  Status error;                  // kError
};
inline constexpr int kWorkerReports = 3;
std::string print_report(const WorkerReport& report);  // one line, with its end
Result<WorkerReport> parse_report(std::string_view line);

// Called with each report of work done, and some times a second with 0 while there is none. An
// error ends the worker.
using OnAdvance = std::function<Status(double amount)>;

// Starts `command` (program and arguments) and waits for it. Its end by a signal, by a limit or
// without a last report is an error that says so and repeats its last words; its own error comes
// back as it was. The worker is killed if this process dies. Returns its peak resident memory.
Result<std::uint64_t> run_worker(const std::vector<std::string>& command,
                                 const WorkerLimits& limits, const OnAdvance& on_advance);

}  // namespace qhx::forge
