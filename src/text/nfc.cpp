// UAX #15 and section 3.12 of the Unicode standard (Hangul). Text is cut before every code point
// that nothing before it can affect: a starter that NFC leaves alone. Only segments that fail the
// quick check are taken apart.
#include "text/nfc.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "text/unicode.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace qhx::text {
namespace {

constexpr char32_t kHangulL = 0x1100, kHangulV = 0x1161, kHangulT = 0x11A7, kHangulS = 0xAC00;
constexpr char32_t kHangulLCount = 19, kHangulVCount = 21, kHangulTCount = 28;
constexpr char32_t kHangulSCount = kHangulLCount * kHangulVCount * kHangulTCount;
constexpr unsigned char kLeadOf0300 = 0xCC;  // below U+0300 everything is a starter and in NFC

struct Composition {
  char32_t first, second, composite;
  auto key() const { return std::pair(first, second); }
};

const std::vector<Composition>& compositions() {
  static const std::vector<Composition> sorted = [] {
    std::vector<Composition> all;
    for (const Decomposition& d : unicode_decompositions()) {
      if (d.composes) all.push_back({d.first, d.second, d.composite});
    }
    std::ranges::sort(all, {}, &Composition::key);
    return all;
  }();
  return sorted;
}

std::optional<char32_t> compose_hangul(char32_t first, char32_t second) {
  // Wrapping subtraction makes each range check one comparison.
  if (first - kHangulL < kHangulLCount && second - kHangulV < kHangulVCount) {
    return kHangulS + ((first - kHangulL) * kHangulVCount + (second - kHangulV)) * kHangulTCount;
  }
  const bool is_lv = first - kHangulS < kHangulSCount && (first - kHangulS) % kHangulTCount == 0;
  if (is_lv && second > kHangulT && second - kHangulT < kHangulTCount)
    return first + (second - kHangulT);
  return std::nullopt;
}

std::optional<char32_t> compose(char32_t first, char32_t second) {
  if (const auto syllable = compose_hangul(first, second)) return syllable;
  const auto& all = compositions();
  const auto found = std::ranges::lower_bound(all, std::pair(first, second), {}, &Composition::key);
  if (found == all.end() || found->key() != std::pair(first, second)) return std::nullopt;
  return found->composite;
}

class Normalizer {
 public:
  explicit Normalizer(std::string& out) : out_(out) {}

  void append_segment(std::string_view segment) {
    run_.clear();
    for (std::size_t pos = 0, length = 0; pos < segment.size(); pos += length) {
      decompose(decode_valid_utf8(segment.data(), pos, length));
    }
    order();
    compose_run();
    for (const Mark& mark : run_) append_utf8(mark.code_point, out_);
  }

 private:
  struct Mark {
    char32_t code_point;
    std::uint8_t combining_class;
  };

  void decompose(char32_t c) {
    if (c - kHangulS < kHangulSCount) {
      const char32_t index = c - kHangulS;
      push(kHangulL + index / (kHangulVCount * kHangulTCount));
      push(kHangulV + index / kHangulTCount % kHangulVCount);
      if (index % kHangulTCount != 0) push(kHangulT + index % kHangulTCount);
      return;
    }
    const auto table = unicode_decompositions();
    const auto found = std::ranges::lower_bound(table, c, {}, &Decomposition::composite);
    if (found == table.end() || found->composite != c) return push(c);
    decompose(found->first);  // at most four steps deep
    if (found->second != 0) decompose(found->second);
  }

  void push(char32_t c) { run_.push_back({c, properties_.combining_class(c)}); }

  // Canonical ordering: marks between two starters by rising class, equals in their order.
  void order() {
    const auto is_starter = [](const Mark& mark) { return mark.combining_class == 0; };
    for (auto begin = run_.begin(); begin != run_.end();) {
      begin = std::find_if_not(begin, run_.end(), is_starter);
      const auto end = std::find_if(begin, run_.end(), is_starter);
      std::ranges::stable_sort(begin, end, {}, &Mark::combining_class);
      begin = end;
    }
  }

  // Joins each code point with the last starter unless something between them blocks it.
  void compose_run() {
    std::size_t kept = 0;
    std::optional<std::size_t> starter;  // index in run_
    for (const Mark mark : run_) {
      if (starter.has_value()) {
        const bool adjacent = kept == *starter + 1;
        if (adjacent || run_[kept - 1].combining_class < mark.combining_class) {
          if (const auto joined = compose(run_[*starter].code_point, mark.code_point)) {
            run_[*starter].code_point = *joined;
            continue;
          }
        }
      }
      if (mark.combining_class == 0) starter = kept;
      run_[kept++] = mark;
    }
    run_.resize(kept);
  }

  const UnicodeProperties& properties_ = UnicodeProperties::instance();
  std::vector<Mark> run_;
  std::string& out_;
};

// Walks over text and finds the segments that NFC may change.
class SegmentFinder {
 public:
  explicit SegmentFinder(std::string_view text) : text_(text) {}

  // The next segment [begin, end) that fails the quick check, or nothing.
  std::optional<std::pair<std::size_t, std::size_t>> next() {
    std::size_t begin = pos_;
    std::uint8_t last_class = 0;
    while (pos_ < text_.size()) {
      if (const std::size_t plain = plain_prefix(); plain > 0) {
        pos_ += plain;
        begin = pos_ - 1;  // what follows may join the last of them, which has one byte or two
        if ((static_cast<unsigned char>(text_[begin]) & 0xC0) == 0x80) --begin;
        last_class = 0;
        continue;
      }
      std::size_t length;
      const char32_t c = decode_valid_utf8(text_.data(), pos_, length);
      const std::uint8_t combining_class = properties_.combining_class(c);
      const bool out_of_order = combining_class != 0 && combining_class < last_class;
      if (out_of_order || properties_.may_change_in_nfc(c)) {
        pos_ = segment_end(pos_);
        return std::pair(begin, pos_);
      }
      if (combining_class == 0) begin = pos_;
      last_class = combining_class;
      pos_ += length;
    }
    return std::nullopt;
  }

 private:
  // Bytes at pos_ of code points below U+0300.
  std::size_t plain_prefix() const {
    std::size_t end = pos_ + ascii_prefix(text_.substr(pos_));
    while (end < text_.size() && static_cast<unsigned char>(text_[end]) < kLeadOf0300) ++end;
    return end - pos_;
  }

  std::size_t segment_end(std::size_t pos) const {
    for (std::size_t length = 0; pos < text_.size(); pos += length) {
      const char32_t c = decode_valid_utf8(text_.data(), pos, length);
      if (properties_.combining_class(c) == 0 && !properties_.may_change_in_nfc(c)) break;
    }
    return pos;
  }

  const UnicodeProperties& properties_ = UnicodeProperties::instance();
  std::string_view text_;
  std::size_t pos_ = 0;
};

}  // namespace

std::string_view nfc(std::string_view text, std::string& storage) {
  SegmentFinder finder(text);
  auto segment = finder.next();
  if (!segment.has_value()) return text;
  storage.clear();
  storage.reserve(text.size() + 16);
  Normalizer normalizer(storage);
  std::size_t copied = 0;
  for (; segment.has_value(); segment = finder.next()) {
    storage.append(text.substr(copied, segment->first - copied));
    normalizer.append_segment(text.substr(segment->first, segment->second - segment->first));
    copied = segment->second;
  }
  storage.append(text.substr(copied));
  return storage;
}

}  // namespace qhx::text
