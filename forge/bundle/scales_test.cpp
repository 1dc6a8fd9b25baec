// Measuring as a stage of a forge: what is kept for a later run, and what turns it off.
#include "forge/bundle/scales.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "forge/bundle/output_folder.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Scales : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.checkpoint = folder_.path() / "hf";
    options_.target = std::move(parse_target("v79")).value();
    options_.image = {64, 64};
    make_checkpoint({}, options_.checkpoint);
    config_ = hf::load_config(options_.checkpoint).value();
    const std::string tokenizer = read_file(options_.checkpoint / "tokenizer.json").value();
    manifest::Chat chat;
    chat.user = {"<|im_start|>user\n", "<|im_end|>\n"};
    set_ = calibration_set(CalibrationUse::kRanges, options_, config_, tokenizer, chat).value();
  }

  Result<ActivationScales> find() {
    calls_ = 0;
    const auto checkpoint = hf::Checkpoint::open(options_.checkpoint);
    return find_scales(options_, config_, *checkpoint, set_, folder_.path(), pool_, [this](double) {
      ++calls_;
      return Status();
    });
  }

  TestFolder folder_{"scales-"};
  ThreadPool pool_{2};
  ForgeOptions options_;
  hf::ModelConfig config_;
  CalibrationSet set_;
  int calls_ = 0;
};

TEST_F(Scales, AreMeasuredOnceForAllRunsOfTheSameWork) {
  const auto first = find();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(calls_, 0);
  EXPECT_THAT(folder_.names(), ElementsAre(std::string(kNotePrefix) + "scales.json", "hf"));
  const auto second = find();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(second->plan, first->plan);
  EXPECT_EQ(second->record, first->record);
  EXPECT_EQ(second->warnings(), first->warnings());
}

TEST_F(Scales, ADamagedNoteIsMeasuredAgain) {
  ASSERT_TRUE(write_file(folder_.path() / (std::string(kNotePrefix) + "scales.json"), "{").ok());
  ASSERT_TRUE(find().ok());
  EXPECT_GT(calls_, 0);
}

TEST_F(Scales, MayBeTurnedOffWithAWarning) {
  options_.measure = false;
  const auto scales = find();
  ASSERT_TRUE(scales.ok()) << scales.status();
  EXPECT_EQ(calls_, 0);
  EXPECT_TRUE(scales->plan.identity());
  EXPECT_THAT(scales->warnings(), ElementsAre(HasSubstr("were not measured")));
}

TEST_F(Scales, BundlesWithoutPicturesAreMeasuredOnTexts) {
  options_.pictures = false;
  set_ = calibration_set(CalibrationUse::kRanges, options_, config_,
                         *read_file(options_.checkpoint / "tokenizer.json"), {})
             .value();
  EXPECT_TRUE(set_.pictures.empty());
  const auto scales = find();
  ASSERT_TRUE(scales.ok()) << scales.status();
  EXPECT_FALSE(scales->record["tensors"].contains("image_embeds"));
  EXPECT_TRUE(scales->record["tensors"].contains("layer_out_00")) << scales->record.dump(1);
}

}  // namespace
}  // namespace qhx::forge
