#include "base/available_memory.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>
#include <string_view>

#include "base/file.h"

namespace qhx {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> parse(std::string_view text) {
  const std::size_t begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

// The number after `key` on the line that begins with it.
std::optional<std::uint64_t> field(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) return parse(std::string_view(line).substr(key.size()));
  }
  return std::nullopt;
}

std::string read_or_empty(const fs::path& file) {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  auto text = read_file(file, kMost);
  return text.ok() ? std::move(*text) : std::string();
}

// The names that the two versions give to one thing.
struct CgroupFiles {
  const char *limit, *usage, *inactive_file, *active_file;
};
constexpr CgroupFiles kVersion2 = {"memory.max", "memory.current", "inactive_file ",
                                   "active_file "};
constexpr CgroupFiles kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                   "total_inactive_file ", "total_active_file "};

// What the limit of one group leaves.
std::uint64_t left_in(const fs::path& group, const CgroupFiles& files) {
  const auto limit = parse(read_or_empty(group / files.limit));  // "max": no number
  const auto usage = parse(read_or_empty(group / files.usage));
  if (!limit || !usage) return kUnlimited;
  const std::string stat = read_or_empty(group / "memory.stat");
  const std::uint64_t cache =
      field(stat, files.inactive_file).value_or(0) + field(stat, files.active_file).value_or(0);
  const std::uint64_t used = *usage > cache ? *usage - cache : 0;
  return *limit > used ? *limit - used : 0;
}

// What the group at `relative` and those above it leave. In a container the path can be that of the
// host; then only the mount's own root is there to be read.
std::uint64_t left_above(const fs::path& mount, std::string_view relative,
                         const CgroupFiles& files) {
  std::uint64_t left = left_in(mount, files);
  fs::path group = mount;
  for (const fs::path& part : fs::path(relative).relative_path()) {
    if (part == "..") break;
    group /= part;
    left = std::min(left, left_in(group, files));
  }
  return left;
}

std::uint64_t left_in_cgroups(const fs::path& root) {
  std::uint64_t left = kUnlimited;
  std::istringstream lines(read_or_empty(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string_view path = std::string_view(line).substr(second + 1);
    if (controllers == ",,")
      left = std::min(left, left_above(root / "sys/fs/cgroup", path, kVersion2));
    if (controllers.find(",memory,") != std::string::npos)
      left = std::min(left, left_above(root / "sys/fs/cgroup/memory", path, kVersion1));
  }
  return left;
}

}  // namespace

std::optional<AvailableMemory> available_memory(const fs::path& root) {
  constexpr std::uint64_t kKilo = 1024;
  const auto system = field(read_or_empty(root / "proc/meminfo"), "MemAvailable:");
  const std::uint64_t cgroup = left_in_cgroups(root);
  if (!system && cgroup == kUnlimited) return std::nullopt;
  const std::uint64_t most = system ? *system * kKilo : kUnlimited;
  if (cgroup < most) return AvailableMemory{cgroup, "the cgroup"};
  return AvailableMemory{most, "the system"};
}

}  // namespace qhx
