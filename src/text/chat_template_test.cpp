// Rendering and encoding. tests/tokenizer/chat_parity.py compares with transformers on random
// conversations.
#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/chat_json.h"
#include "text/test_tokenizer.h"

namespace qhx::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The small tokenizer's added tokens double as turn end and picture.
ChatFormat small_format() {
  return ChatFormat::from_json(R"json({
      "system": ["S:", "<|end|>"], "user": ["U\n", "<|end|>"], "assistant": ["A:", "<|end|>"],
      "vision_start": "(", "vision_pad": "<think>", "vision_end": ")", "unknown": 1})json")
      .value();
}

std::string render(std::string_view messages,
                   const ChatOptions& options = {.add_generation_prompt = false}) {
  const auto parsed = chat_messages_from_json(messages);
  if (!parsed.ok()) return parsed.status().message();
  const auto chat = render_chat(small_format(), *parsed, options);
  return chat.ok() ? chat->text : chat.status().message();
}

TEST(ChatTemplate, Turns) {
  EXPECT_EQ(render(R"([{"role": "user", "content": " hi "}])", {}), "U\n hi <|end|>A:");
  EXPECT_EQ(
      render(
          R"([{"role": "system", "content": "s"}, {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
                       {"role": "system", "content": "ignored"}, {"role": "assistant", "content": "c"}])"),
      "S:s<|end|>U\nab<|end|>A:c<|end|>");
  EXPECT_EQ(render("[]"), "chat: expected at least one message, found none");
}

TEST(ChatTemplate, Pictures) {
  constexpr std::string_view kMessages = R"([
      {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}, {"image_url": {"url": "b"}}]},
      {"role": "tool", "content": [{"image": "c"}]}])";
  EXPECT_EQ(render(kMessages),
            "U\n(<think>)x(<think>)<|end|>U\n<tool_response>\n(<think>)\n</tool_response><|end|>");
  EXPECT_THAT(render(kMessages, {.add_vision_id = true}),
              HasSubstr("U\nPicture 1: (<think>)xPicture 2: (<think>)"));
  EXPECT_EQ(chat_messages_from_json(kMessages).value()[0].parts[2].text, "b");
}

TEST(ChatTemplate, ToolsAndCalls) {
  ChatOptions options{.add_generation_prompt = false, .tools = {R"({"b":1,"a":[1.0,"\u00e9\n"]})"}};
  const std::string text = render(R"([{"role": "user", "content": "q"},
      {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1e5}}},
                                                          {"name": "g", "arguments": "{\"y\":2}"}]},
      {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}, {"role": "user", "content": "r"}])",
                                  options);
  EXPECT_THAT(text, ::testing::StartsWith("S:# Tools\n\n"));
  EXPECT_THAT(text, HasSubstr("<tools>\n{\"b\": 1, \"a\": [1.0, \"\u00E9\\n\"]}\n</tools>"));
  EXPECT_THAT(
      text,
      HasSubstr("A:<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 100000.0}}\n</tool_call>\n"
                "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"y\":2}}\n</tool_call><|end|>"));
  EXPECT_THAT(text, HasSubstr("U\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</"
                              "tool_response><|end|>U\nr"));
  options.tools = {"{"};
  EXPECT_THAT(render(R"([{"role": "user", "content": "q"}])", options), HasSubstr("tools[0]: "));
}

TEST(ChatTemplate, SystemTurnNeedsAFormat) {
  ChatFormat format = small_format();
  format.system = {};
  const std::vector<ChatMessage> messages = {{.role = ChatRole::kSystem, .parts = {{.text = "x"}}}};
  EXPECT_EQ(render_chat(format, messages).status().code(), StatusCode::kUnsupported);
}

TEST(ChatTemplate, BadMessagesNameThePlace) {
  EXPECT_THAT(render(R"([{"role": "robot", "content": ""}])"),
              HasSubstr("messages[0].role: expected system"));
  EXPECT_THAT(render(R"([{"content": ""}])"),
              HasSubstr("messages[0].role: expected text, found none"));
  EXPECT_THAT(render(R"([{"role": "user", "content": 3}])"),
              HasSubstr("messages[0].content: expected text or"));
  EXPECT_THAT(render(R"([{"role": "user", "content": [{"x": 1}]}])"),
              HasSubstr("messages[0].content[0].text: expected"));
  EXPECT_THAT(render(R"([{"role": "user", "content": [{"type": "video"}]}])"),
              HasSubstr("videos are not supported"));
  EXPECT_THAT(render(R"([{"role": "assistant", "tool_calls": [{"name": "f"}]}])"),
              HasSubstr("messages[0].tool_calls[0].arguments: expected"));
  EXPECT_THAT(render("{}"), HasSubstr("messages: expected an array"));
  EXPECT_FALSE(chat_messages_from_json("[").ok());
  EXPECT_THAT(ChatFormat::from_json(R"({"user": ["a", "b"]})").status().message(),
              HasSubstr("chat.assistant: expected [text before, text after], found none"));
  EXPECT_THAT(
      ChatFormat::from_json(R"({"user": ["a"], "assistant": ["a", "b"]})").status().message(),
      HasSubstr("chat.user: expected"));
  EXPECT_FALSE(
      ChatFormat::from_json(R"({"user": ["", ""], "assistant": ["", ""], "bos": -1})").ok());
}

class EncodeChat : public ::testing::Test {
 protected:
  static constexpr int kEnd = 264, kPad = 265;
  Result<EncodedChat> encode(std::string_view messages, std::vector<std::int32_t> copies,
                             const ChatOptions& options = {}) {
    return encode_chat(tokenizer_, format_, chat_messages_from_json(messages).value(), copies,
                       options);
  }
  Tokenizer tokenizer_ = Tokenizer::from_json(small_tokenizer_json().dump(), "small").value();
  ChatFormat format_ = small_format();
};

TEST_F(EncodeChat, RepeatsThePadOfEachPicture) {
  format_.bos = {1, 2};
  const auto chat =
      encode(R"([{"role": "user", "content": [{"type": "image"}, {"type": "image"}]}])", {3, 1});
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_THAT(chat->ids, ElementsAre(1, 2, 'U', '\n', '(', kPad, kPad, kPad, ')', '(', kPad, ')',
                                     kEnd, 'A', ':'));
  ASSERT_EQ(chat->pictures.size(), 2u);
  EXPECT_EQ(chat->pictures[0].begin, 5u);
  EXPECT_EQ(chat->pictures[0].end, 8u);
  EXPECT_EQ(chat->pictures[1].begin, 10u);
}

TEST_F(EncodeChat, UserTextMayBeLiteral) {
  constexpr std::string_view kMessages = R"([{"role": "user", "content": "<|end|>"}])";
  const auto parsed = encode(kMessages, {});
  EXPECT_THAT(parsed->ids, ElementsAre('U', '\n', kEnd, kEnd, 'A', ':'));
  const auto literal = encode(kMessages, {}, {.literal_user_text = true});
  EXPECT_THAT(literal->ids,
              ElementsAre('U', '\n', '<', '|', 'e', 'n', 'd', '|', '>', kEnd, 'A', ':'));
}

TEST_F(EncodeChat, PicturesMustAgree) {
  constexpr std::string_view kForged = R"([{"role": "user", "content": "<think>"}])";
  EXPECT_THAT(encode(kForged, {}).status().message(), HasSubstr("text contains <think>"));
  EXPECT_TRUE(encode(kForged, {}, {.literal_user_text = true}).ok());
  EXPECT_THAT(encode(kForged, {1}).status().message(), HasSubstr("have 0 pictures, 1 were given"));
  constexpr std::string_view kPicture = R"([{"role": "user", "content": [{"type": "image"}]}])";
  EXPECT_FALSE(encode(kPicture, {0}).ok());
  format_.vision_pad = "and";
  EXPECT_EQ(encode(kPicture, {1}).status().code(), StatusCode::kUnsupported);
}

}  // namespace
}  // namespace qhx::text
