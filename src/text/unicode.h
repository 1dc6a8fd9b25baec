// What tokenization asks about a code point, in one lookup.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace qhx::text {

// The split pattern's classes; they exclude one another.
enum class CharClass : std::uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 3 };

// A two-stage table over all code points, built once from the ranges of unicode_tables.h.
// Immutable; any thread.
class UnicodeProperties {
 public:
  static const UnicodeProperties& instance();

  CharClass char_class(char32_t c) const { return static_cast<CharClass>(entry(c) >> 8 & 3); }
  // Canonical combining class; 0 for starters.
  std::uint8_t combining_class(char32_t c) const { return static_cast<std::uint8_t>(entry(c)); }
  // True if NFC may change this code point, or compose it with what stands before it (quick check
  // "No" or "Maybe").
  bool may_change_in_nfc(char32_t c) const { return (entry(c) >> 10 & 1) != 0; }

 private:
  static constexpr char32_t kPageSize = 256;
  static constexpr char32_t kPages = 0x110000 / kPageSize;

  UnicodeProperties();
  // Bits 0..7 combining class, 8..9 CharClass, 10 may change in NFC.
  std::uint16_t entry(char32_t c) const {
    return entries_[page_start_[c / kPageSize] + c % kPageSize];
  }

  std::array<std::uint32_t, kPages> page_start_;
  std::vector<std::uint16_t> entries_;  // pages that are equal are stored once
};

}  // namespace qhx::text
