// The context binary: docs/cpu_backend.md specifies it.
#pragma once

#include <array>
#include <cstdint>

namespace qhx::cpu::binary {

// First bytes of the file. All numbers are little-endian; offsets count from the start of the file.
struct Header {
  std::array<char, 8> magic;
  std::uint32_t format_version;
  std::uint32_t header_bytes;  // sizeof(Header)
  std::uint64_t file_bytes;
  std::uint64_t metadata_offset;  // right after the header
  std::uint64_t metadata_bytes;
  std::uint64_t sections_offset;    // from here to the end: sections, without gaps
  std::uint64_t metadata_checksum;  // XXH3-64 of [metadata_offset, sections_offset)
  std::uint64_t header_checksum;    // XXH3-64 of the bytes before it
};
static_assert(sizeof(Header) == 64);

inline constexpr std::array<char, 8> kMagic = {'Q', 'H', 'X', 'C', 'P', 'U', '\r', '\n'};
inline constexpr std::uint32_t kFormatVersion = 3;
// More metadata than this is refused.
inline constexpr std::uint64_t kMaxMetadataBytes = std::uint64_t{1} << 26;

}  // namespace qhx::cpu::binary
