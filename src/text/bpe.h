// Byte-pair merging inside one piece of text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/vocabulary.h"

namespace qhx::text {

// The merge table. Immutable after create(); merge() may run on any thread.
class Bpe {
 public:
  Bpe() = default;

  // `merges` in the byte alphabet, by rising rank; of a pair that is listed twice the later rank
  // counts. kCorrupt if a byte has no token, or a merge names a token that the vocabulary lacks.
  static Result<Bpe> create(const Vocabulary& vocabulary,
                            std::span<const std::pair<std::string, std::string>> merges);

  std::int32_t byte_id(char byte) const { return byte_ids_[static_cast<unsigned char>(byte)]; }

  // Appends the ids of `piece`: starting from single bytes, the adjacent pair of lowest rank is
  // merged, the leftmost of equals first, until no adjacent pair has a rank. Time is O(n log n) for
  // n bytes.
  void merge(std::string_view piece, std::vector<std::int32_t>& ids) const;

 private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;
  struct Slot {
    std::int32_t left = -1;  // -1: empty
    std::int32_t right = -1;
    std::uint32_t rank = kNoRank;
  };

  std::size_t first_slot(std::int32_t left, std::int32_t right) const;
  void insert(std::int32_t left, std::int32_t right, std::uint32_t rank);
  std::uint32_t rank(std::int32_t left, std::int32_t right) const;
  void merge_short(std::string_view piece, std::vector<std::int32_t>& ids) const;
  void merge_long(std::string_view piece, std::vector<std::int32_t>& ids) const;

  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<Slot> slots_;              // open addressing, at most half full, a power of two
  std::vector<std::int32_t> merged_id_;  // by rank
};

}  // namespace qhx::text
