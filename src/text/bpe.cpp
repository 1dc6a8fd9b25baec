#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>

#include "text/byte_alphabet.h"

namespace qhx::text {
namespace {

// Below it, finding the lowest rank by looking at all pairs beats keeping a heap.
constexpr std::size_t kShortPiece = 48;

Result<std::int32_t> find_token(const Vocabulary& vocabulary, const std::string& bytes,
                                const std::string& where) {
  const auto id = vocabulary.find(bytes);
  if (id.has_value()) return *id;
  return corrupt(where + ": token \"" + bytes_to_alphabet(bytes) + "\" is not in model.vocab");
}

Result<std::string> spelled_bytes(const std::string& spelled, const std::string& where) {
  auto bytes = bytes_from_alphabet(spelled);
  if (bytes.has_value()) return *std::move(bytes);
  return corrupt(where + ": \"" + spelled + "\" has characters outside the byte alphabet");
}

}  // namespace

Result<Bpe> Bpe::create(const Vocabulary& vocabulary,
                        std::span<const std::pair<std::string, std::string>> merges) {
  Bpe bpe;
  for (int byte = 0; byte < 256; ++byte) {
    QHX_ASSIGN_OR_RETURN(bpe.byte_ids_[static_cast<std::size_t>(byte)],
                         find_token(vocabulary, std::string(1, static_cast<char>(byte)),
                                    "byte " + std::to_string(byte)));
  }
  bpe.slots_.resize(std::bit_ceil(2 * merges.size() + 2));
  bpe.merged_id_.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string where = "model.merges[" + std::to_string(i) + "]";
    QHX_ASSIGN_OR_RETURN(std::string joined, spelled_bytes(merges[i].first, where));
    QHX_ASSIGN_OR_RETURN(const std::int32_t left, find_token(vocabulary, joined, where));
    QHX_ASSIGN_OR_RETURN(const std::string tail, spelled_bytes(merges[i].second, where));
    QHX_ASSIGN_OR_RETURN(const std::int32_t right, find_token(vocabulary, tail, where));
    joined += tail;
    QHX_ASSIGN_OR_RETURN(const std::int32_t merged, find_token(vocabulary, joined, where));
    bpe.merged_id_.push_back(merged);
    bpe.insert(left, right, static_cast<std::uint32_t>(i));
  }
  return bpe;
}

std::size_t Bpe::first_slot(std::int32_t left, std::int32_t right) const {
  const std::uint64_t key =
      static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  // Multiplicative hashing: the product's high bits depend on all bits of the key.
  return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 32) & (slots_.size() - 1);
}

void Bpe::insert(std::int32_t left, std::int32_t right, std::uint32_t rank) {
  std::size_t slot = first_slot(left, right);
  while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right)) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  slots_[slot] = {left, right, rank};
}

std::uint32_t Bpe::rank(std::int32_t left, std::int32_t right) const {
  std::size_t slot = first_slot(left, right);
  for (; slots_[slot].left >= 0; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].left == left && slots_[slot].right == right) return slots_[slot].rank;
  }
  return kNoRank;
}

void Bpe::merge(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (piece.size() == 1) {
    ids.push_back(byte_id(piece[0]));
  } else if (piece.size() <= kShortPiece) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids);
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<std::int32_t>& ids) const {
  std::array<std::int32_t, kShortPiece> symbols;
  std::array<std::uint32_t, kShortPiece> ranks;  // of symbols i and i + 1
  std::size_t count = piece.size();
  for (std::size_t i = 0; i < count; ++i) symbols[i] = byte_id(piece[i]);
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rank(symbols[i], symbols[i + 1]);
  while (count > 1) {
    const auto lowest = std::min_element(ranks.begin(), ranks.begin() + (count - 1));
    if (*lowest == kNoRank) break;
    const auto i = static_cast<std::size_t>(lowest - ranks.begin());
    symbols[i] = merged_id_[*lowest];
    std::copy(symbols.begin() + (i + 2), symbols.begin() + count, symbols.begin() + (i + 1));
    if (i + 2 < count)
      std::copy(ranks.begin() + (i + 1), ranks.begin() + (count - 1), ranks.begin() + i);
    --count;
    if (i + 1 < count) ranks[i] = rank(symbols[i], symbols[i + 1]);
    if (i > 0) ranks[i - 1] = rank(symbols[i - 1], symbols[i]);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + count);
}

// Symbols in a doubly linked list, candidate pairs in a heap by (rank, position). A candidate is
// out of date if its position no longer has a pair of that rank; the rank tells, as it names the
// pair.
void Bpe::merge_long(std::string_view piece, std::vector<std::int32_t>& ids) const {
  constexpr std::uint32_t kEnd = 0xFFFFFFFF;
  struct Symbol {
    std::int32_t id;
    std::uint32_t rank;  // with the next one
    std::uint32_t previous, next;
  };
  const auto count = static_cast<std::uint32_t>(piece.size());
  std::vector<Symbol> symbols(count);
  std::vector<std::uint64_t> heap;
  const auto candidate = [&](std::uint32_t i) {
    return static_cast<std::uint64_t>(symbols[i].rank) << 32 | i;
  };
  const auto refresh = [&](std::uint32_t i) {
    const std::uint32_t next = symbols[i].next;
    symbols[i].rank = next == kEnd ? kNoRank : rank(symbols[i].id, symbols[next].id);
    if (symbols[i].rank == kNoRank) return;
    heap.push_back(candidate(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };

  for (std::uint32_t i = 0; i < count; ++i) {
    symbols[i] = {byte_id(piece[i]), kNoRank, i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
  }
  for (std::uint32_t i = 0; i + 1 < count; ++i) {
    symbols[i].rank = rank(symbols[i].id, symbols[i + 1].id);
    if (symbols[i].rank != kNoRank) heap.push_back(candidate(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    const std::uint64_t lowest = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto i = static_cast<std::uint32_t>(lowest);
    if (candidate(i) != lowest) continue;
    const std::uint32_t gone = symbols[i].next;
    symbols[i].id = merged_id_[symbols[i].rank];
    symbols[i].next = symbols[gone].next;
    symbols[gone].rank = kNoRank;
    if (symbols[i].next != kEnd) symbols[symbols[i].next].previous = i;
    refresh(i);
    if (symbols[i].previous != kEnd) refresh(symbols[i].previous);
  }
  for (std::uint32_t i = 0; i != kEnd; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace qhx::text
