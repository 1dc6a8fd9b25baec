#include "text/unicode.h"

#include <map>

#include "text/unicode_tables.h"

namespace qhx::text {
namespace {

constexpr std::uint16_t kMayChange = 1 << 10;

std::vector<std::uint16_t> flat_entries() {
  std::vector<std::uint16_t> entries(0x110000);
  const auto set_class = [&](std::span<const CodePointRange> ranges, CharClass value) {
    for (const CodePointRange& range : ranges) {
      for (char32_t c = range.first; c <= range.last; ++c) {
        entries[c] |= static_cast<std::uint16_t>(static_cast<int>(value) << 8);
      }
    }
  };
  set_class(unicode_letters(), CharClass::kLetter);
  set_class(unicode_numbers(), CharClass::kNumber);
  set_class(unicode_spaces(), CharClass::kSpace);
  for (const CombiningClassRange& range : unicode_combining_classes()) {
    for (char32_t c = range.first; c <= range.last; ++c) entries[c] |= range.combining_class;
  }
  for (const Decomposition& d : unicode_decompositions()) {
    entries[d.composes ? d.second : d.composite] |= kMayChange;
  }
  // Conjoining jamo, vowels and final consonants, compose with the syllable before them.
  for (char32_t c = 0x1161; c <= 0x1175; ++c) entries[c] |= kMayChange;
  for (char32_t c = 0x11A8; c <= 0x11C2; ++c) entries[c] |= kMayChange;
  return entries;
}

}  // namespace

UnicodeProperties::UnicodeProperties() {
  const std::vector<std::uint16_t> flat = flat_entries();
  std::map<std::vector<std::uint16_t>, std::uint32_t> pages;
  for (char32_t page = 0; page < kPages; ++page) {
    const auto begin = flat.begin() + static_cast<std::ptrdiff_t>(page * kPageSize);
    const auto [entry, added] =
        pages.try_emplace(std::vector<std::uint16_t>(begin, begin + kPageSize),
                          static_cast<std::uint32_t>(entries_.size()));
    if (added) entries_.insert(entries_.end(), begin, begin + kPageSize);
    page_start_[page] = entry->second;
  }
}

const UnicodeProperties& UnicodeProperties::instance() {
  static const UnicodeProperties properties;
  return properties;
}

}  // namespace qhx::text
