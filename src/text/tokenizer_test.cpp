#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "text/test_tokenizer.h"

namespace qhx::text {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

constexpr int kAn = 256, kAnd = 257, kSpaceAnd = 258, kApostropheLl = 260, kAa = 261, kAaaa = 262,
              kEAcute = 263;
constexpr int kEnd = 264, kThink = 265;

Tokenizer small() { return Tokenizer::from_json(small_tokenizer_json().dump(), "small").value(); }

Status error_of(const json& file) { return Tokenizer::from_json(file.dump(), "t.json").status(); }

Ids bytes_of(std::string_view text) {
  Ids ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

// Merges by the definition: look for the pair of lowest rank again and again.
Ids merged_slowly(std::string_view piece, const json& file) {
  std::vector<std::string> symbols;
  for (const char c : piece) symbols.push_back(bytes_to_alphabet(std::string(1, c)));
  while (true) {
    for (const json& merge : file["model"]["merges"]) {
      for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (symbols[i] != merge[0] || symbols[i + 1] != merge[1]) continue;
        symbols[i] += symbols[i + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        goto merged;
      }
    }
    break;
  merged:;
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(file["model"]["vocab"][symbol]);
  return ids;
}

TEST(TokenizerTest, MergesByRankInsidePieces) {
  const Tokenizer t = small();
  EXPECT_THAT(t.encode(""), ElementsAre());
  EXPECT_THAT(t.encode("and"), ElementsAre(kAnd));
  EXPECT_THAT(t.encode("an and"), ElementsAre(kAn, kSpaceAnd));
  EXPECT_THAT(t.encode("an  and"), ElementsAre(kAn, ' ', kSpaceAnd));
  EXPECT_THAT(t.encode("x'll"), ElementsAre('x', kApostropheLl));
  EXPECT_THAT(t.encode("aaaaa"), ElementsAre(kAaaa, 'a'));
  EXPECT_THAT(t.encode("12"), ElementsAre('1', '2'));
}

TEST(TokenizerTest, ShortAndLongPiecesMergeAlike) {
  const json file = small_tokenizer_json();
  const Tokenizer t = small();
  std::mt19937 random(1);
  for (int length = 1; length < 130; ++length) {
    std::string piece;
    for (int i = 0; i < length; ++i) piece += "aaandl"[random() % 6];
    EXPECT_EQ(t.encode(piece), merged_slowly(piece, file)) << piece;
  }
}

TEST(TokenizerTest, NormalisesToNfc) {
  const Tokenizer t = small();
  EXPECT_THAT(t.encode("e\u0301"), ElementsAre(kEAcute));
  EXPECT_THAT(t.encode("\u00E9"), ElementsAre(kEAcute));
  json file = small_tokenizer_json();
  file["normalizer"] = nullptr;
  EXPECT_EQ(Tokenizer::from_json(file.dump(), "t").value().encode("e\u0301"), bytes_of("e\u0301"));
}

TEST(TokenizerTest, CutsOutAddedTokens) {
  const Tokenizer t = small();
  EXPECT_THAT(t.encode("and<|end|>and<think>"), ElementsAre(kAnd, kEnd, kAnd, kThink));
  EXPECT_THAT(t.encode("<<|end|>>"), ElementsAre('<', kEnd, '>'));
  EXPECT_EQ(t.encode("<|end|"), bytes_of("<|end|"));
  EXPECT_EQ(t.encode("<|end|>", false), bytes_of("<|end|>"));
}

TEST(TokenizerTest, LiteralRangesAreSpelledOutAndStillJoin) {
  const Tokenizer t = small();
  const std::string text = "<|end|>an<|end|>d<|end|>";
  Ids expected = {kEnd, kAn};
  for (const int id : bytes_of("<|end|>d")) expected.push_back(id);
  expected.push_back(kEnd);
  EXPECT_EQ(t.encode(text, std::vector<TextRange>{{9, 16}}), expected);
  EXPECT_EQ(t.encode(text, std::vector<TextRange>{{15, 16}}), expected) << "touching is enough";
  EXPECT_EQ(t.encode(text, std::vector<TextRange>{{7, 9}, {16, 16}, {16, 17}}), t.encode(text));
  EXPECT_THAT(t.encode("and", std::vector<TextRange>{{1, 2}}), ElementsAre(kAnd));
  // Borders move when broken bytes before them grow to U+FFFD.
  EXPECT_EQ(t.encode("\xFF\xFF<|end|><|end|>", std::vector<TextRange>{{0, 9}}),
            t.encode("\uFFFD\uFFFD<|end|><|end|>", std::vector<TextRange>{{0, 13}}));
}

TEST(TokenizerTest, FlagsOfAddedTokens) {
  json file = small_tokenizer_json();
  const auto add = [&](const char* content, const char* flag) {
    const int id = kThink + 1 + static_cast<int>(file["added_tokens"].size()) - 2;
    file["added_tokens"].push_back({{"id", id}, {"content", content}, {flag, true}});
    return id;
  };
  const int left = add("[L]", "lstrip"), right = add("[R]", "rstrip"),
            normal = add("[e\u0301]", "normalized");
  const Tokenizer t = Tokenizer::from_json(file.dump(), "t").value();
  EXPECT_THAT(t.encode("x \n[L] x"), ElementsAre('x', left, ' ', 'x'));
  EXPECT_THAT(t.encode("x [R]\u3000 x"), ElementsAre('x', ' ', right, 'x'));
  EXPECT_THAT(t.encode("[R] [L][L]"), ElementsAre(right, left, left));
  EXPECT_THAT(t.encode("[\u00E9][e\u0301]"), ElementsAre(normal, normal));
  file["added_tokens"][0]["single_word"] = true;
  EXPECT_THAT(error_of(file).message(), HasSubstr("added_tokens[0] (<|end|>): single_word"));
}

TEST(TokenizerTest, BrokenUtf8IsReplacedPerMaximalSubpart) {
  const Tokenizer t = small();
  EXPECT_EQ(t.encode("a\x80"), t.encode("a\uFFFD"));
  EXPECT_EQ(t.encode("\xE4\xB8"), t.encode("\uFFFD"));
  EXPECT_EQ(t.encode("\xE4\xB8g"), t.encode("\uFFFDg"));
  EXPECT_EQ(t.encode("\xED\xA0\x80"), t.encode("\uFFFD\uFFFD\uFFFD"));
  EXPECT_EQ(t.encode("\xF4\x90\x80\x80"), t.encode("\uFFFD\uFFFD\uFFFD\uFFFD"));
}

TEST(TokenizerTest, Decodes) {
  const Tokenizer t = small();
  EXPECT_EQ(t.decode(Ids{kAnd, kEnd, kThink}, false), "and<|end|><think>");
  EXPECT_EQ(t.decode(Ids{kAnd, kEnd, kThink}, true), "and<think>");
  EXPECT_EQ(t.decode(Ids{0xC3, 0xA9, 0xC3, 'x', 0xC3}, true), "\u00E9\uFFFDx\uFFFD");
  EXPECT_EQ(t.decode(Ids{-1, 100000, 'x'}, false), "x");
  EXPECT_EQ(t.vocab_size(), kThink + 1);
  EXPECT_EQ(t.token_id("<|end|>"), kEnd);
  EXPECT_EQ(t.token_id("\u0120and"), kSpaceAnd);
  EXPECT_EQ(t.token_id(" and"), std::nullopt);
  EXPECT_EQ(t.added_token_id("and"), std::nullopt);
  EXPECT_EQ(t.token_bytes(kSpaceAnd), " and");
  EXPECT_TRUE(t.is_special(kEnd));
  EXPECT_FALSE(t.is_special(kThink) || t.is_special(-1) || t.is_special(1 << 30));
}

TEST(TokenizerTest, BothSpellingsOfMerges) {
  json file = small_tokenizer_json();
  for (json& merge : file["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  file["model"]["merges"].insert(file["model"]["merges"].begin(), "#version: 0.2");
  EXPECT_THAT(Tokenizer::from_json(file.dump(), "t").value().encode("an and"),
              ElementsAre(kAn, kSpaceAnd));
}

TEST(TokenizerTest, IgnoreMergesTakesWholePieces) {
  json file = small_tokenizer_json();
  file["model"]["merges"].erase(1);  // "and" stays in the vocabulary, but merges no longer reach it
  EXPECT_THAT(error_of(file).message(), ::testing::IsEmpty());
  EXPECT_THAT(Tokenizer::from_json(file.dump(), "t").value().encode("and"), ElementsAre(kAn, 'd'));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(Tokenizer::from_json(file.dump(), "t").value().encode("and"), ElementsAre(kAnd));
}

TEST(TokenizerTest, RefusesOtherFamilies) {
  const auto refuses = [](const char* pointer, const json& value, const char* message) {
    json file = small_tokenizer_json();
    file[json::json_pointer(pointer)] = value;
    const Status status = error_of(file);
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << pointer << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr(std::string("t.json: ") + message));
  };
  refuses("/model/type", "WordPiece", "model.type: expected BPE, found \"WordPiece\"");
  refuses("/model/dropout", 0.1, "model.dropout");
  refuses("/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix");
  refuses("/normalizer", {{"type", "NFKC"}}, "normalizer: expected null or NFC");
  refuses("/pre_tokenizer", nullptr, "pre_tokenizer: expected a Sequence");
  refuses("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+",
          "pre_tokenizer Split pattern: expected");
  refuses("/pre_tokenizer/pretokenizers/0/behavior", "Removed",
          "pre_tokenizer Split: expected behavior Isolated");
  refuses("/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "pre_tokenizer ByteLevel");
  refuses("/decoder", nullptr, "decoder: expected ByteLevel");
  refuses("/post_processor", {{"type", "TemplateProcessing"}}, "post_processor");
}

TEST(TokenizerTest, RefusesDamagedFiles) {
  const auto refuses = [](const char* pointer, const json& value, const char* message) {
    json file = small_tokenizer_json();
    file[json::json_pointer(pointer)] = value;
    const Status status = error_of(file);
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << pointer << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr(message));
  };
  refuses("/model/vocab/a", -1, "model.vocab[\"a\"]: expected an id from 0");
  refuses("/model/vocab/a", 1 << 30, "model.vocab[\"a\"]: expected an id from 0");
  refuses("/model/vocab/a", "x", "expected an integer, found string");
  refuses("/model/vocab/a", 98, "given twice");
  refuses("/model/vocab", 3, "model.vocab: expected an object");
  refuses("/model/merges", json::array({json::array({"a"})}),
          "model.merges[0]: expected two strings, found fewer");
  refuses("/model/merges", json::array({json::array({"a", "n", "d"})}), "found more");
  refuses("/model/merges", json::array({"a n d"}), "model.merges[0]: expected two tokens");
  refuses("/model/merges", json::array({json::array({"a", "q"})}),
          "token \"aq\" is not in model.vocab");
  refuses("/model/merges", json::array({json::array({"a", "\u4E2D"})}),
          "outside the byte alphabet");
  refuses("/model/merges", json::array({7}), "model.merges[0]: expected strings, found number");
  refuses("/added_tokens/0/id", 9, "added token \"<|end|>\": expected id 264, found 9");
  refuses("/added_tokens/0/content", 9, "added_tokens[0]: expected an object with id and content");
  refuses("/added_tokens", 9, "added_tokens: expected an array");
  refuses("", json::array(), "expected a JSON object, found array");
  refuses("/model", nullptr, "model: expected an object, found null");
  json file = small_tokenizer_json();
  file["model"]["vocab"].erase("a");
  EXPECT_THAT(error_of(file).message(), HasSubstr("token \"a\" is not in model.vocab"));
  EXPECT_EQ(Tokenizer::from_json(std::string(1000, '['), "t").status().code(),
            StatusCode::kCorrupt);
  EXPECT_EQ(Tokenizer::from_json("{\"a\":", "t").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(Tokenizer::from_file("/nonexistent/tokenizer.json").status().code(),
            StatusCode::kNotFound);
}

// Quadratic work on any of these would take minutes.
TEST(TokenizerTest, HostileTextTakesLinearTime) {
  const Tokenizer t = small();
  for (const std::string unit : {"a", " ", "!", "\n", "\u0301", "\u0301\u0316", "<", "<|end|",
                                 "\u1100", "'", "\xFF", "an", "\u4E2D"}) {
    std::string text;
    while (text.size() < 400000) text += unit;
    const auto begin = std::chrono::steady_clock::now();
    const Ids ids = t.encode(text);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << unit;
    EXPECT_FALSE(ids.empty());
  }
}

TEST(TokenizerTest, ManyThreadsShareOne) {
  const Tokenizer t = small();
  const Ids expected = t.encode("an and aaaaa e\u0301 x'll<|end|>");
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  const Tokenizer fresh = small();
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, copy = fresh] {
      for (int n = 0; n < 200; ++n)
        equal += copy.encode("an and aaaaa e\u0301 x'll<|end|>") == expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 800);
}

TEST(TokenizerTest, DemoModelSpotChecks) {
  const auto t = Tokenizer::from_file(QHX_SOURCE_DIR "/demo/model/tokenizer.json");
  if (!t.ok()) GTEST_SKIP() << t.status();
  const std::string text = "<|im_start|>user\nWhat color is the star?<|im_end|>\n";
  const Ids ids = t->encode(text);
  EXPECT_EQ(t->decode(ids, false), text);
  EXPECT_EQ(ids.front(), t->token_id("<|im_start|>"));
  EXPECT_EQ(t->vocab_size(), 813);
}

}  // namespace
}  // namespace qhx::text
