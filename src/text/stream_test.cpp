// Detokenizer and StopStrings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "text/detokenizer.h"
#include "text/stop_strings.h"
#include "text/test_tokenizer.h"
#include "text/utf8.h"

namespace qhx::text {
namespace {

Tokenizer small() { return Tokenizer::from_json(small_tokenizer_json().dump(), "small").value(); }

TEST(DetokenizerTest, HoldsBackUnfinishedCharacters) {
  Detokenizer stream(small());
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xB8), "");
  EXPECT_EQ(stream.push(0xAD), "\u4E2D");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push('x'), "\uFFFDx");
  EXPECT_EQ(stream.push(264), "") << "special";
  EXPECT_EQ(stream.push(265), "<think>");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.push(-5), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
}

TEST(DetokenizerTest, PiecesAreTheWholeDecode) {
  const Tokenizer t = small();
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    const bool skip_special = random() % 2 == 0;
    std::vector<std::int32_t> ids(random() % 30);
    for (std::int32_t& id : ids) {
      // Bytes that begin and continue characters are frequent, so that whole and broken characters
      // both occur.
      constexpr unsigned char kBytes[] = {0x80, 0x9F, 0xA0, 0xBF, 0xC3,
                                          0xE0, 0xED, 0xF0, 0xF4, 0x90};
      id = random() % 3 != 0 ? kBytes[random() % sizeof kBytes] : static_cast<int>(random() % 268);
    }
    Detokenizer stream(t, skip_special);
    std::string joined;
    for (const std::int32_t id : ids) {
      const std::string piece = stream.push(id);
      EXPECT_EQ(valid_utf8_prefix(piece), piece.size());
      joined += piece;
    }
    EXPECT_EQ(joined + stream.flush(), t.decode(ids, skip_special)) << "round " << round;
  }
}

// The first match in `text`, found by looking at every prefix.
std::string before_stop(const std::string& text, const std::vector<std::string>& stops,
                        std::string& match) {
  match.clear();
  for (std::size_t end = 0; end <= text.size(); ++end) {
    for (const std::string& stop : stops) {
      if (!stop.empty() && std::string_view(text).substr(0, end).ends_with(stop) &&
          stop.size() > match.size())
        match = stop;
    }
    if (!match.empty()) return text.substr(0, end - match.size());
  }
  return text;
}

TEST(StopStringsTest, HoldsBackAPossibleBeginning) {
  StopStrings stops({"STOP", "\n\n"});
  EXPECT_EQ(stops.push("some ST"), "some ");
  EXPECT_EQ(stops.push("RAY\n"), "STRAY");
  EXPECT_EQ(stops.push("x S"), "\nx ");
  EXPECT_FALSE(stops.matched());
  EXPECT_EQ(stops.push("TOP more"), "");
  EXPECT_EQ(stops.match(), "STOP");
  EXPECT_EQ(stops.push("more"), "");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStringsTest, FlushGivesBackWhatWasNoStop) {
  StopStrings stops({"abc"});
  EXPECT_EQ(stops.push("xab"), "x");
  EXPECT_EQ(stops.flush(), "ab");
  StopStrings none({"", ""});
  EXPECT_EQ(none.push("text"), "text");
}

TEST(StopStringsTest, CuttingMakesNoDifference) {
  std::mt19937 random(4);
  const auto word = [&](std::size_t longest) {
    std::string out(random() % (longest + 1), 'a');
    for (char& c : out) c = "ab"[random() % 2];
    return out;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::vector<std::string> list = {word(5), word(5), word(3) + "c"};
    std::string text = word(20) + (random() % 2 == 0 ? "c" : ""), match, streamed;
    const std::string expected = before_stop(text, list, match);
    StopStrings stops(list);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 4;
      streamed += stops.push(std::string_view(text).substr(at, length));
      at += length;
    }
    streamed += stops.flush();
    EXPECT_EQ(streamed, expected) << text;
    EXPECT_EQ(stops.match(), match) << text;
  }
}

}  // namespace
}  // namespace qhx::text
