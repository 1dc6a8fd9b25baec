// A bundle's files in the system's page cache: in, out, and how much of them is there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/status.h"

namespace qhx::bench {

// Asks the system to forget what it holds of the files. What a process has mapped and touched
// stays, and what lies beneath the system (a disk's or a host's own cache) is out of reach: see
// cached_bytes().
Status drop_from_cache(const std::vector<std::filesystem::path>& files);
// Reads the files whole.
Status read_into_cache(const std::vector<std::filesystem::path>& files);
Result<std::uint64_t> cached_bytes(const std::vector<std::filesystem::path>& files);

}  // namespace qhx::bench
