// verified.json: what is written reads back; no bytes do harm.
#include "verify/verified_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "verify/encoding.h"

namespace qhx::verify {
namespace {

using nlohmann::json;

Verified example() {
  Verified v{"1.0", "now", "lib", "m.json", {{"a.bin", {7, "ff"}}}, {}, {}};
  v.input.prompt = "What is it?";
  v.input.prompt_ids = {1, 2, 3};
  v.input.answer_ids = {4};
  v.input.picture = vision::Image{2, 1, {0, 128, 255, 1, 2, 3}};
  Trace trace;
  std::vector<float> large(3 * kSample + 5);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = 1e6f * std::sin(static_cast<float>(i));
  trace.stages.push_back({"image_embeds", std::move(large)});
  trace.stages.push_back({"logits_000", {1.5f, -2, 7}});
  trace.steps.push_back(best_of(trace.stages[1].values));
  v.judges.push_back(make_judge("fp32", {0.9999, std::nullopt, true}, std::move(trace)));
  return v;
}

TEST(Base64, BothWays) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    const auto back = from_base64(to_base64(bytes));
    ASSERT_TRUE(back.ok());
    EXPECT_TRUE(std::equal(back->begin(), back->end(), bytes.begin(), bytes.end()));
  }
  const std::string text = "foobar";
  EXPECT_EQ(to_base64(std::as_bytes(std::span(text.data(), 5))), "Zm9vYmE=");
  for (const char* bad : {"Zg", "Zg=!", "====", "Z===", "Zg==Zg==", "Zm9v\n"})
    EXPECT_FALSE(from_base64(bad).ok()) << bad;
}

TEST(VerifiedFile, ReadsBack) {
  const Verified v = example();
  const auto text = print_verified(v);
  ASSERT_TRUE(text.ok());
  const auto back = parse_verified(*text, "v");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->manifest, "m.json");
  EXPECT_EQ(back->files, v.files);
  EXPECT_EQ(back->input.prompt_ids, v.input.prompt_ids);
  EXPECT_EQ(back->input.answer_ids, v.input.answer_ids);
  EXPECT_EQ(back->input.picture->rgb, v.input.picture->rgb);
  ASSERT_EQ(back->judges.size(), 1u);
  const Judge& judge = back->judges[0];
  EXPECT_EQ(judge.thresholds.vision, 0.9999);
  EXPECT_FALSE(judge.thresholds.text.has_value());
  EXPECT_EQ(judge.steps, v.judges[0].steps);
  EXPECT_EQ(judge.stages[0].values.size(), kSample);
  // What was recorded passes its own check as well as 16 bits can.
  Trace same;
  for (const Expected& stage : v.judges[0].stages)
    same.stages.push_back({stage.name, stage.values});
  same.steps = v.judges[0].steps;
  const Verdict verdict = judge_trace(judge, same);
  EXPECT_TRUE(verdict.ok());
  EXPECT_GT(verdict.rows[0].figures->cosine, 0.9999999);
}

// A scale of zero would not read back.
TEST(VerifiedFile, VerySmallValuesReadBack) {
  Verified v = example();
  for (float& value : v.judges[0].stages[0].values) value = value * 1e-25f * 1e-24f;
  const auto back = parse_verified(*print_verified(v), "v");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_NE(back->judges[0].stages[0].values[1], 0.0f);
}

TEST(VerifiedFile, RefusesWhatMakesNoSense) {
  const json good = json::parse(*print_verified(example()));
  const auto refused = [&](const std::function<void(json&)>& edit) {
    json bad = good;
    edit(bad);
    const auto result = parse_verified(bad.dump(), "v.json");
    EXPECT_EQ(result.status().code(), StatusCode::kCorrupt) << bad.dump().substr(0, 200);
    return result.status().message();
  };
  const std::vector<std::string> names = {"schema_version", "qhexrt", "made",  "library",
                                          "manifest",       "files",  "input", "judges"};
  for (const std::string& name : names) {
    refused([&](json& j) { j.erase(name); });
    refused([&](json& j) { j[name] = json::array(); });
    refused([&](json& j) { j[name] = -1; });
  }
  const auto stage = [](json& j) -> json& { return j["judges"][0]["stages"][0]; };
  EXPECT_THAT(refused([&](json& j) { stage(j)["count"] = 1; }),
              ::testing::HasSubstr("image_embeds"));
  refused([&](json& j) { stage(j)["count"] = 0; });
  refused([&](json& j) { stage(j)["count"] = 1e18; });
  refused([&](json& j) { stage(j)["scale"] = 0; });
  refused([&](json& j) { stage(j)["scale"] = 1e300; });
  refused([&](json& j) { stage(j)["f16"] = "AAAA"; });
  refused([&](json& j) { j["judges"][0]["stages"][1]["f16"] = "AHwAfAB8"; });  // infinities
  refused([&](json& j) { j["judges"][0]["vision_cosine"] = -1; });
  refused([&](json& j) { j["judges"][0]["best"] = json::array(); });
  refused([&](json& j) { j["judges"][0]["best"][0] = json::array(); });
  refused([&](json& j) { j["judges"][0]["stages"].erase(1); });
  refused([&](json& j) { j["input"]["answer_ids"] = {4, 5}; });
  refused([&](json& j) { j["input"]["answer_ids"] = {-4}; });
  refused([&](json& j) { j["input"]["png"] = "AAAA"; });
  EXPECT_FALSE(parse_verified("", "v").ok());
  EXPECT_FALSE(parse_verified(good.dump().substr(0, 5000), "v").ok());
}

}  // namespace
}  // namespace qhx::verify
