#include "forge/bundle/special_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qhx::forge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kTokenizer = R"({"added_tokens": [
  {"id": 10, "content": "<|im_start|>"}, {"id": 11, "content": "<|im_end|>"},
  {"id": 12, "content": "<look>"}, {"id": 13, "content": "</look>"}, {"id": 14, "content": "<dot>"}]})";

hf::ModelConfig config() {
  hf::ModelConfig c;
  c.vision_start_token_id = 12;
  c.vision_end_token_id = 13;
  c.image_token_id = 14;
  return c;
}

TEST(SpecialTokens, ChatIsMadeOfTheTokenizersOwnTexts) {
  const auto tokens = AddedTokens::parse(kTokenizer);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->max_id(), 14);
  const auto chat = make_chat(*tokens, config());
  ASSERT_TRUE(chat.ok()) << chat.status();
  // Around one answer only: the renderer opens the user turn that neighbouring answers share.
  EXPECT_EQ(chat->tool.first, "\n<tool_response>\n");
  EXPECT_EQ(chat->tool.second, "\n</tool_response>");
  EXPECT_TRUE(chat->present);
  EXPECT_EQ(chat->system.first, "<|im_start|>system\n");
  EXPECT_EQ(chat->user.first, "<|im_start|>user\n");
  EXPECT_EQ(chat->assistant.first, "<|im_start|>assistant\n");
  EXPECT_EQ(chat->assistant.second, "<|im_end|>\n");
  EXPECT_EQ(chat->vision_start, "<look>");
  EXPECT_EQ(chat->vision_pad, "<dot>");
  EXPECT_EQ(chat->vision_end, "</look>");
}

TEST(SpecialTokens, StopIdsAreTheCheckpointsElseTheTurnsEnd) {
  const auto tokens = AddedTokens::parse(kTokenizer);
  hf::ModelConfig c = config();
  EXPECT_THAT(*stop_ids(*tokens, c), ElementsAre(11));
  c.generation.eos_token_ids = {3, 4};
  EXPECT_THAT(*stop_ids(*tokens, c), ElementsAre(3, 4));
}

TEST(SpecialTokens, MissingTokensAreErrors) {
  const auto tokens = AddedTokens::parse(kTokenizer);
  hf::ModelConfig c = config();
  c.image_token_id = 99;
  EXPECT_EQ(make_chat(*tokens, c).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(make_chat(*tokens, c).status().message(), HasSubstr("99"));
  const auto bare = AddedTokens::parse(R"({"added_tokens": [{"id": 1, "content": "<|im_end|>"}]})");
  EXPECT_THAT(make_chat(*bare, config()).status().message(), HasSubstr("<|im_start|>"));
}

TEST(SpecialTokens, DamagedFilesAreErrors) {
  for (const char* bad :
       {"", "[]", "{", R"({"added_tokens": 1})", R"({"added_tokens": [1]})",
        R"({"added_tokens": [{"id": "1", "content": "a"}]})", R"({"added_tokens": [{"id": 1}]})",
        R"({"added_tokens": [{"id": -1, "content": "a"}]})",
        R"({"added_tokens": [{"id": 99999999999, "content": "a"}]})"}) {
    EXPECT_EQ(AddedTokens::parse(bad).status().code(), StatusCode::kCorrupt) << bad;
  }
}

}  // namespace
}  // namespace qhx::forge
