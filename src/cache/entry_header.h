// The beginning of a cache file. The payload follows it, to the end of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/hash.h"

namespace qhx::cache {

// Says by content what a payload is: equal keys, equal payloads.
using Key = Sha256Digest;

// Numbers are little-endian, as on every machine this runs on; a file of another one is damage.
struct EntryHeader {
  Key key = {};
  std::uint64_t payload_bytes = 0;
  std::uint64_t payload_xxh3 = 0;

  // magic "qhxcache", version (u64), key, payload_bytes, payload_xxh3, XXH3 of all these.
  static constexpr std::size_t kBytes = 8 + 8 + 32 + 8 + 8 + 8;
  using Bytes = std::array<std::byte, kBytes>;
};

EntryHeader::Bytes print_header(const EntryHeader& header);

// Nothing unless the bytes are a whole, undamaged header of this version.
std::optional<EntryHeader> parse_header(std::span<const std::byte> bytes);

}  // namespace qhx::cache
