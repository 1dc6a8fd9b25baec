// Checksums: SHA-256 for what is recorded and compared between machines, XXH3 for what is checked
// on every load.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/status.h"

namespace qhx {

// Lower-case hexadecimal, 64 characters.
std::string sha256_hex(std::span<const std::byte> bytes);
// Streams the file; memory use does not depend on its size.
Result<std::string> sha256_hex_of_file(const std::filesystem::path& path);

// XXH3, 64 bits, seed 0. About memory speed; detects damage, not malice.
std::uint64_t xxh3_64(std::span<const std::byte> bytes);

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const Hash128&) const = default;
};
// XXH3, 128 bits, seed 0: identifies equal contents.
Hash128 xxh3_128(std::span<const std::byte> bytes);

}  // namespace qhx
