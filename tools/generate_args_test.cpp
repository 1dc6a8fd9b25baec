#include "generate_args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qhx::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> with(std::vector<std::string> more, std::string prompt = "Hi") {
  std::vector<std::string> args = {"m.json", "htp", "sys", "dir", "7", std::move(prompt)};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

TEST(GenerateArgs, SixOrSevenPositionals) {
  const auto six = parse_generate_args(with({}));
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_EQ(six->engine.manifest, "m.json");
  EXPECT_EQ(six->engine.backend_library, "htp");
  EXPECT_EQ(six->engine.system_library, "sys");
  EXPECT_EQ(six->engine.folder, "dir");
  EXPECT_EQ(six->config.max_new_tokens, 7u);
  EXPECT_EQ(six->prompt, "Hi");
  EXPECT_EQ(six->image, "");
  EXPECT_EQ(parse_generate_args(with({"a.jpg"}))->image, "a.jpg");
  EXPECT_FALSE(parse_generate_args(with({"a.jpg", "b.jpg"})).ok());
}

TEST(GenerateArgs, FlagsStandAnywhere) {
  const auto args = parse_generate_args({"--temperature=0.5", "m", "h", "--stop", "-x", "s", "d",
                                         "--json", "1", "p", "--stop=b", "--system", "", "--top-k",
                                         "5", "--seed", "18446744073709551615", "--dump", "out"});
  ASSERT_TRUE(args.ok()) << args.status();
  EXPECT_EQ(args->config.temperature, 0.5f);
  EXPECT_THAT(args->config.stop_strings, ElementsAre("-x", "b"));
  EXPECT_EQ(args->system, "");
  EXPECT_TRUE(args->json);
  EXPECT_EQ(args->config.top_k, 5);
  EXPECT_EQ(args->config.seed, UINT64_MAX);
  EXPECT_EQ(args->config.dump_folder, "out");
  EXPECT_FALSE(args->config.top_p.has_value());
}

TEST(GenerateArgs, LoadingIsStrictUnlessTold) {
  const auto strict = parse_generate_args(with({}));
  EXPECT_FALSE(strict->engine.allow_arch_mismatch);
  EXPECT_FALSE(strict->engine.allow_low_memory);
  EXPECT_FALSE(strict->engine.verify_hashes);
  EXPECT_TRUE(parse_generate_args(with({"--allow-arch-mismatch"}))->engine.allow_arch_mismatch);
  EXPECT_TRUE(parse_generate_args(with({"--allow-low-memory"}))->engine.allow_low_memory);
  EXPECT_TRUE(parse_generate_args(with({"--verify-hashes"}))->engine.verify_hashes);
}

TEST(GenerateArgs, CacheFolder) {
  EXPECT_EQ(parse_generate_args(with({}))->engine.cache_folder, "");
  EXPECT_EQ(parse_generate_args(with({"--cache", "c"}))->engine.cache_bytes, 1'000'000'000u);
  const auto args = parse_generate_args(with({"--cache=c", "--cache-size", "20"}));
  EXPECT_EQ(args->engine.cache_folder, "c");
  EXPECT_EQ(args->engine.cache_bytes, 20'000'000u);
  for (const auto& wrong : std::vector<std::vector<std::string>>{
           {"--cache", ""}, {"--cache-size", "20"}, {"--cache=c", "--cache-size=2G"}})
    EXPECT_EQ(parse_generate_args(with(wrong)).status().code(), StatusCode::kInvalidArgument);
}

TEST(GenerateArgs, Speculation) {
  EXPECT_EQ(parse_generate_args(with({}))->config.speculate, 0);
  EXPECT_EQ(parse_generate_args(with({"--speculate", "auto"}))->config.speculate,
            qhexrt::GenerateConfig::kSpeculateAuto);
  EXPECT_EQ(parse_generate_args(with({"--speculate=off"}))->config.speculate, 0);
  EXPECT_EQ(parse_generate_args(with({"--speculate=5"}))->config.speculate, 5);
  for (const char* wrong : {"", "-1", "on", "70000", "5x"}) {
    const auto args = parse_generate_args(with({std::string("--speculate=") + wrong}));
    EXPECT_EQ(args.status().code(), StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(GenerateArgs, PromptsThatBeginWithADash) {
  for (const char* prompt : {"-5 degrees", "- item", "-", "---", "--what is this?", "-1", "--a.b"})
    EXPECT_EQ(parse_generate_args(with({}, prompt))->prompt, prompt);
  EXPECT_THAT(parse_generate_args(with({}, "--what")).status().message(), HasSubstr("--what"));
  EXPECT_EQ(parse_generate_args({"m", "h", "s", "d", "1", "--", "--json"})->prompt, "--json");
}

TEST(GenerateArgs, HelpAndVersionNeedNothingElse) {
  EXPECT_TRUE(parse_generate_args({"--help"})->help);
  EXPECT_TRUE(parse_generate_args({"--version"})->version);
  EXPECT_THAT(generate_usage(), HasSubstr("--repetition-penalty X"));
}

}  // namespace
}  // namespace qhx::tools
