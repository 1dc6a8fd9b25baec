// nfc(), Splitter and the UTF-8 functions. tests/tokenizer/parity.py compares every code point with
// the package.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/nfc.h"
#include "text/splitter.h"
#include "text/utf8.h"

namespace qhx::text {
namespace {

using ::testing::ElementsAre;

std::string to_nfc(std::string_view text) {
  std::string storage;
  return std::string(nfc(text, storage));
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> pieces;
  for (Splitter splitter(text); !splitter.done();) pieces.emplace_back(splitter.next());
  return pieces;
}

TEST(Nfc, ComposesAndOrders) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("xe\u0301y"), "x\u00E9y");
  EXPECT_EQ(to_nfc("a\u0323\u0307"), "\u1EA1\u0307");
  EXPECT_EQ(to_nfc("a\u0307\u0323"), "\u1EA1\u0307");
  EXPECT_EQ(to_nfc("q\u0301\u0316"), "q\u0316\u0301");
  EXPECT_EQ(to_nfc("a\u0334\u0301"), "\u00E1\u0334") << "a lower class does not block";
  EXPECT_EQ(to_nfc("a\u0300\u0301"), "\u00E0\u0301") << "an equal class does";
  EXPECT_EQ(to_nfc("\u00E9\u0327"), "\u0229\u0301") << "composites are taken apart first";
}

TEST(Nfc, ExclusionsSingletonsHangul) {
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");
  EXPECT_EQ(to_nfc("\uF900"), "\u8C48");
  EXPECT_EQ(to_nfc("\u1100\u1161\u11A8"), "\uAC01");
  EXPECT_EQ(to_nfc("\uAC00\u11A8"), "\uAC01");
  EXPECT_EQ(to_nfc("\uAC01\u11A8"), "\uAC01\u11A8");
  EXPECT_EQ(to_nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(to_nfc("\U0001D15E"), "\U0001D157\U0001D165");
}

// The models' tokenizer leaves alone what came after Unicode 9.0.
TEST(Nfc, NewerCharactersStay) {
  EXPECT_EQ(to_nfc("\U000105D2\u0307"), "\U000105D2\u0307");
  EXPECT_EQ(to_nfc("a\u1DF6\u0334"), "a\u1DF6\u0334");
}

TEST(Nfc, NormalTextIsNotCopied) {
  std::string storage;
  for (const std::string_view text :
       {"", "abc", "\u00E9\u4E2D\uAC00", "\u0915\u094D\u0937", "\u0316"}) {
    EXPECT_EQ(nfc(text, storage).data(), text.data()) << text;
  }
  EXPECT_TRUE(storage.empty());
}

TEST(SplitterTest, Alternatives) {
  EXPECT_THAT(split("Hello  world"), ElementsAre("Hello", " ", " world"));
  EXPECT_THAT(split("I'll 'S can'T"), ElementsAre("I", "'ll", " '", "S", " can", "'T"));
  EXPECT_THAT(split("it'\u017F '\u017Fx'rex"),
              ElementsAre("it", "'\u017F", " '", "\u017Fx", "'re", "x"));
  EXPECT_THAT(split("a12\u0662"), ElementsAre("a", "1", "2", "\u0662"));
  EXPECT_THAT(split("x ==\n\n\ty"), ElementsAre("x", " ==\n\n", "\ty"));
  EXPECT_THAT(split("a \n \n  b"), ElementsAre("a", " \n \n", " ", " b"));
  EXPECT_THAT(split("\n\r!a"), ElementsAre("\n\r", "!a"));
  EXPECT_THAT(split("  1 \t"), ElementsAre(" ", " ", "1", " \t"));
  EXPECT_THAT(split("\u00A0a\u00A0!"), ElementsAre("\u00A0a", "\u00A0", "!"));
  EXPECT_THAT(split("\na"), ElementsAre("\n", "a"));
  EXPECT_THAT(split("'"), ElementsAre("'"));
  EXPECT_THAT(split("''l"), ElementsAre("''", "l"));
}

TEST(Utf8, DecodesAndReplaces) {
  const auto replaced = [](std::string_view bytes, bool hold_back) {
    std::string out;
    const std::size_t consumed = append_replacing_invalid(bytes, hold_back, out);
    return out + "|" + std::to_string(consumed);
  };
  EXPECT_EQ(replaced("a\xE4\xB8", true), "a|1");
  EXPECT_EQ(replaced("a\xE4\xB8", false), "a\uFFFD|3");
  EXPECT_EQ(replaced("\xE4\xB8\xAD", true), "\u4E2D|3");
  EXPECT_EQ(replaced("\xE0\x80", true), "\uFFFD\uFFFD|2");
  EXPECT_EQ(replaced("\xF0\x9F\x98", true), "|0");
  EXPECT_EQ(replaced("\xF0\x9F\x98\xF0\x9F\x98\x80", true), "\uFFFD\U0001F600|7");
  EXPECT_EQ(replaced("\xC0\xC1\xF5", true), "\uFFFD\uFFFD\uFFFD|3");
}

TEST(Utf8, EveryScalarValueSurvives) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    std::size_t length;
    const Utf8Step step = decode_utf8(text);
    ASSERT_TRUE(step.valid && step.code_point == c && step.length == text.size())
        << static_cast<std::uint32_t>(c);
    ASSERT_EQ(decode_valid_utf8(text.data(), 0, length), c);
  }
}

}  // namespace
}  // namespace qhx::text
