// Tokens by id and by their bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qhx::text {

// Bytes of all tokens in one block, and a hash table from bytes to id. Filled once, then immutable
// and safe to read from any thread.
class Vocabulary {
 public:
  // Takes ids from 0 to `size` - 1.
  explicit Vocabulary(std::int32_t size = 0);

  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }

  // False if the id or the bytes are there already. `findable` false: bytes are stored but find()
  // will not see them.
  bool add(std::int32_t id, std::string_view bytes, bool findable);

  // Empty for an id without a token.
  std::string_view bytes(std::int32_t id) const;
  bool contains(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view bytes) const;
  // No findable token is longer.
  std::size_t longest() const { return longest_; }

 private:
  struct Entry {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    bool present = false;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t id = -1;  // -1: empty
  };

  std::vector<Entry> entries_;
  std::string block_;
  std::vector<Slot> slots_;  // open addressing, at most half full, a power of two
  std::size_t longest_ = 0;
};

}  // namespace qhx::text
