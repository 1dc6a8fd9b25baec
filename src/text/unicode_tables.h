// The Unicode data that tokenization needs, as sorted ranges. unicode_tables.cpp is generated; the
// reason why this is not a library's data is that the models' tokenizer mixes two Unicode versions:
// letters, numbers and spaces of 16.0 with the normalisation of 9.0 (tools/unicode/make_tables.py
// says how that was found).
#pragma once

#include <cstdint>
#include <span>

namespace qhx::text {

// Inclusive at both ends.
struct CodePointRange {
  char32_t first;
  char32_t last;
};

struct CombiningClassRange {
  char32_t first;
  char32_t last;
  std::uint8_t combining_class;  // 1..255
};

// One step of canonical decomposition; Hangul syllables are left out (they follow from arithmetic).
struct Decomposition {
  char32_t composite;
  char32_t first;
  char32_t second;  // 0: a singleton
  bool composes;    // NFC puts it together again
};

std::span<const CodePointRange> unicode_letters();  // general category L*, Unicode 16.0
std::span<const CodePointRange> unicode_numbers();  // general category N*, Unicode 16.0
std::span<const CodePointRange> unicode_spaces();   // White_Space
std::span<const CombiningClassRange> unicode_combining_classes();  // not 0, Unicode 9.0
std::span<const Decomposition> unicode_decompositions();  // Unicode 9.0, by rising composite

}  // namespace qhx::text
