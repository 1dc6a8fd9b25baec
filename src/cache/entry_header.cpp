#include "cache/entry_header.h"

#include <cstring>

namespace qhx::cache {
namespace {

// As it lies in the file.
struct Layout {
  char magic[8] = {'q', 'h', 'x', 'c', 'a', 'c', 'h', 'e'};
  std::uint64_t version = 1;
  Key key = {};
  std::uint64_t payload_bytes = 0, payload_xxh3 = 0, header_xxh3 = 0;
};
static_assert(sizeof(Layout) == EntryHeader::kBytes);

std::uint64_t checksum(const Layout& layout) {
  return xxh3_64(std::as_bytes(std::span(&layout, 1)).first(offsetof(Layout, header_xxh3)));
}

}  // namespace

EntryHeader::Bytes print_header(const EntryHeader& header) {
  Layout layout;
  layout.key = header.key;
  layout.payload_bytes = header.payload_bytes;
  layout.payload_xxh3 = header.payload_xxh3;
  layout.header_xxh3 = checksum(layout);
  EntryHeader::Bytes bytes;
  std::memcpy(bytes.data(), &layout, sizeof layout);
  return bytes;
}

std::optional<EntryHeader> parse_header(std::span<const std::byte> bytes) {
  if (bytes.size() != EntryHeader::kBytes) return std::nullopt;
  Layout found;
  std::memcpy(static_cast<void*>(&found), bytes.data(), sizeof found);
  const Layout expected;
  if (std::memcmp(found.magic, expected.magic, sizeof found.magic) != 0 ||
      found.version != expected.version || found.header_xxh3 != checksum(found)) {
    return std::nullopt;
  }
  return EntryHeader{found.key, found.payload_bytes, found.payload_xxh3};
}

}  // namespace qhx::cache
