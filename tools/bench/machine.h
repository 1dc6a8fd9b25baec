// The machine that is measured on, and what else runs on it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace qhx::bench {

// As /proc/cpuinfo names it; "unknown" if it does not.
std::string cpu_model();

// Bytes of memory that this process holds now, and the most it ever held; 0 if the kernel does not
// tell. Pages of mapped files that were touched count.
std::uint64_t resident_bytes();
std::uint64_t peak_resident_bytes();

// How much CPU other processes use while this object lives, in cores: 0 on a calm machine. A figure
// taken with much more than 0.05 says little about the machine.
class OtherLoad {
 public:
  OtherLoad();
  // Since the construction; negative if that is too short a time, or the kernel does not tell.
  double cores() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double machine_seconds_, own_seconds_;
};

}  // namespace qhx::bench
