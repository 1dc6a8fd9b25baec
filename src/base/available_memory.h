// How much memory this process may still use before the system or its container runs out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace qhx {

struct AvailableMemory {
  std::uint64_t bytes = 0;
  std::string limited_by;  // "the system" or "the cgroup"
};

// The smaller of the kernel's estimate (MemAvailable) and what the limits of the process's cgroup
// and its parents (version 2 or 1) leave. Pages of files count as free: they can be read again.
// Nothing if the kernel does not tell. `root` is where /proc and /sys are looked for.
std::optional<AvailableMemory> available_memory(const std::filesystem::path& root = "/");

}  // namespace qhx
