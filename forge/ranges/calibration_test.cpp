#include "forge/ranges/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "forge/ranges/drawing.h"
#include "text/tokenizer.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kModel = fs::path(QHX_SOURCE_DIR) / "demo/model";

class Calibration : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = hf::load_config(kModel).value();
    tokenizer_ = read_file(kModel / "tokenizer.json").value();
    folder_ = fs::path(::testing::TempDir()) / ("calibration-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<CalibrationSet> make(const fs::path& folder,
                              CalibrationUse use = CalibrationUse::kRanges) const {
    return make_calibration_set(config_, {.use = use,
                                          .folder = folder,
                                          .tokenizer_json = tokenizer_,
                                          .before = "<|im_start|>user\n",
                                          .after = "<|im_end|>\n<|im_start|>assistant\n",
                                          .width = 96,
                                          .height = 64});
  }

  hf::ModelConfig config_;
  std::string tokenizer_;
  fs::path folder_;
};

TEST_F(Calibration, BuiltInSetHasAPictureAndTexts) {
  const auto set = make({});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->description, "1 picture (built in), 4 texts (built in)");
  ASSERT_EQ(set->pictures.size(), 1u);
  EXPECT_EQ(set->pictures[0].grid, (vision::Grid{4, 6}));
  ASSERT_EQ(set->prompts.size(), 5u);
  EXPECT_EQ(set->prompts[0].picture, 0u);
  const auto& tokens = set->prompts[0].tokens;
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), config_.image_token_id), 6);
  EXPECT_FALSE(set->prompts[1].picture.has_value());
  // The turn is marked by the tokens that the runtime writes.
  const auto tokenizer = text::Tokenizer::from_json(tokenizer_, "tokenizer.json").value();
  EXPECT_EQ(tokens.front(), *tokenizer.added_token_id("<|im_start|>"));
}

TEST_F(Calibration, FolderGivesPicturesAndPrompts) {
  fs::copy_file(fs::path(QHX_SOURCE_DIR) / "demo/samples/3.png", folder_ / "a.PNG");
  fs::copy_file(fs::path(QHX_SOURCE_DIR) / "demo/samples/2.jpg", folder_ / "b.jpg");
  ASSERT_TRUE(write_file(folder_ / "notes.md", "not a prompt").ok());
  auto set = make(folder_);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->description, "2 pictures, 4 texts (built in)");
  EXPECT_EQ(set->prompts[1].picture, 1u);

  std::string words = "<|image_pad|> ";
  for (int i = 0; i < 1000; ++i) words += "word ";
  ASSERT_TRUE(write_file(folder_ / "long.txt", words).ok());
  set = make(folder_);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->description, "2 pictures, 1 text");
  ASSERT_EQ(set->prompts.size(), 3u);
  const auto& tokens = set->prompts[2].tokens;
  EXPECT_LT(tokens.size(), kMostCalibrationTokens + 20);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), config_.image_token_id), 0)
      << "a text cannot ask for a picture";
}

TEST_F(Calibration, TrialsTakeWhatRoundingDoesNot) {
  const auto built_in = [&](CalibrationUse use) { return make("", use).value(); };
  const CalibrationSet rounding = built_in(CalibrationUse::kRounding);
  const CalibrationSet trial = built_in(CalibrationUse::kTrial);
  EXPECT_GT(rounding.prompts.size(), built_in(CalibrationUse::kRanges).prompts.size());
  EXPECT_NE(rounding.pictures[0].patches.values, trial.pictures[0].patches.values);
  for (const auto& prompt : trial.prompts) {
    for (const auto& other : rounding.prompts) EXPECT_NE(prompt.tokens, other.tokens);
  }
  for (const char* name : {"a", "b", "c", "d", "e"})
    ASSERT_TRUE(write_file(folder_ / (std::string(name) + ".txt"), name).ok());
  EXPECT_EQ(make(folder_, CalibrationUse::kRanges)->prompts.size(), 1u + 5);
  EXPECT_EQ(make(folder_, CalibrationUse::kRounding)->prompts.size(), 1u + 4);
  EXPECT_EQ(make(folder_, CalibrationUse::kTrial)->prompts.size(), 1u + 1);
}

TEST_F(Calibration, ErrorsNameTheFile) {
  EXPECT_EQ(make(folder_ / "absent").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(make(folder_ / "absent").status().message(), HasSubstr("--calibrate"));
  EXPECT_EQ(make(folder_).status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(make(folder_).status().message(), HasSubstr("found none"));
  ASSERT_TRUE(write_file(folder_ / "broken.png", "no picture").ok());
  EXPECT_EQ(make(folder_).status().code(), StatusCode::kCorrupt);
  EXPECT_THAT(make(folder_).status().message(), HasSubstr("broken.png"));
}

TEST(Drawing, HasFlatAndBusyPlacesAtAnySize) {
  for (const auto& [width, height] : {std::pair(1, 1), std::pair(33, 70), std::pair(256, 256)}) {
    const vision::Image image = draw_calibration_picture(width, height);
    EXPECT_EQ(image.rgb.size(), image.pixels() * 3);
    EXPECT_EQ(image.rgb, draw_calibration_picture(width, height).rgb);
  }
  const vision::Image image = draw_calibration_picture(256, 256);
  std::size_t same = 0, different = 0;
  for (std::size_t i = 3; i < image.rgb.size(); i += 3) {
    const int step = std::abs(image.rgb[i] - image.rgb[i - 3]);
    same += step == 0;
    different += step > 200;
  }
  EXPECT_GT(same, image.pixels() / 10);
  EXPECT_GT(different, image.pixels() / 20);
}

}  // namespace
}  // namespace qhx::forge
