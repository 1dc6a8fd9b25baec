#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <span>

#include "base/check.h"
#include "base/hash.h"

namespace qhx::text {
namespace {

std::uint32_t hash_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(xxh3_64(std::as_bytes(std::span(bytes))));
}

}  // namespace

Vocabulary::Vocabulary(std::int32_t size)
    : entries_(static_cast<std::size_t>(size)),
      slots_(std::bit_ceil(2 * static_cast<std::size_t>(size) + 2)) {}

bool Vocabulary::add(std::int32_t id, std::string_view bytes, bool findable) {
  QHX_CHECK(id >= 0 && id < size());
  Entry& entry = entries_[static_cast<std::size_t>(id)];
  if (entry.present) return false;
  if (findable) {
    const std::uint32_t hash = hash_of(bytes);
    std::size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot].id >= 0; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].hash == hash && this->bytes(slots_[slot].id) == bytes) return false;
    }
    slots_[slot] = {hash, id};
    longest_ = std::max(longest_, bytes.size());
  }
  entry = {static_cast<std::uint32_t>(block_.size()), static_cast<std::uint32_t>(bytes.size()),
           true};
  block_.append(bytes);
  QHX_CHECK(block_.size() <= 0xFFFFFFFFu);  // a file is at most 1 GiB
  return true;
}

bool Vocabulary::contains(std::int32_t id) const {
  return id >= 0 && id < size() && entries_[static_cast<std::size_t>(id)].present;
}

std::string_view Vocabulary::bytes(std::int32_t id) const {
  if (id < 0 || id >= size()) return {};
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  return std::string_view(block_).substr(entry.offset, entry.length);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view bytes) const {
  if (bytes.size() > longest_) return std::nullopt;
  const std::uint32_t hash = hash_of(bytes);
  for (std::size_t slot = hash & (slots_.size() - 1); slots_[slot].id >= 0;
       slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].hash == hash && this->bytes(slots_[slot].id) == bytes) return slots_[slot].id;
  }
  return std::nullopt;
}

}  // namespace qhx::text
