// The whole pass on the committed golden set (tests/goldens/mini, made by make_sets.py with
// transformers in float32).
#include "reference/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/npy.h"
#include "vision/image.h"
#include "vision/positions.h"
#include "vision/resize.h"

namespace qhx::reference {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kSet = QHX_MINI_GOLDENS;

template <typename T>
std::vector<T> golden(const std::string& name) {
  const auto array = read_npy(kSet / (name + ".npy"));
  EXPECT_TRUE(array.ok()) << array.status();
  std::vector<T> values(array.ok() ? array->bytes.size() / sizeof(T) : 0);
  if (!values.empty()) std::memcpy(values.data(), array->bytes.data(), array->bytes.size());
  return values;
}

void expect_close(std::span<const float> ours, const std::string& name) {
  const std::vector<float> theirs = golden<float>(name);
  ASSERT_EQ(ours.size(), theirs.size()) << name;
  float largest = 0, worst = 0;
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    ASSERT_TRUE(std::isfinite(ours[i])) << name << " " << i;
    largest = std::max(largest, std::abs(theirs[i]));
    worst = std::max(worst, std::abs(theirs[i] - ours[i]));
  }
  EXPECT_LE(worst, 2e-5f * largest) << name;
}

class ForwardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto config = hf::load_config(kSet / "hf");
    ASSERT_TRUE(config.ok()) << config.status();
    config_ = *config;
    auto checkpoint = hf::Checkpoint::open(kSet / "hf");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint_ = std::make_unique<hf::Checkpoint>(std::move(checkpoint).value());
    tokens_ = golden<std::int32_t>("input_ids");
  }

  VisionOutput see(WeightFormat format) {
    const std::string file = read_file(kSet / "picture.png").value();
    const vision::Image image =
        vision::decode_image(std::as_bytes(std::span(file.data(), file.size()))).value();
    const auto size =
        vision::smart_resize({image.width, image.height}, 32, config_.preprocessor.min_pixels,
                             config_.preprocessor.max_pixels);
    const vision::Image resized = vision::resize_bicubic(image, *size);
    const vision::PatchParams params;  // those of the set
    grid_ = vision::patch_grid(resized.width, resized.height, params).value();
    patches_ = Matrix(grid_.patches(), vision::patch_values(params));
    vision::extract_patches(resized, params, patches_.values);
    return VisionModel::load(config_, *checkpoint_, format).value().run(patches_, grid_, pool_);
  }

  TextModel text(WeightFormat format) {
    return TextModel::load(config_, *checkpoint_, format).value();
  }

  ThreadPool pool_{2};
  hf::ModelConfig config_;
  std::unique_ptr<hf::Checkpoint> checkpoint_;
  std::vector<std::int32_t> tokens_;
  vision::Grid grid_;
  Matrix patches_;
};

TEST_F(ForwardTest, EqualsTransformers) {
  const VisionOutput picture = see(WeightFormat::kF32);
  expect_close(picture.image_embeds.values, "image_embeds");
  ASSERT_EQ(picture.deepstack.size(), 2u);
  expect_close(picture.deepstack[0].values, "deepstack_0");
  expect_close(picture.deepstack[1].values, "deepstack_1");

  const auto positions =
      vision::mrope_positions(tokens_, config_.image_token_id, std::span(&grid_, 1), 2);
  ASSERT_TRUE(positions.ok()) << positions.status();
  EXPECT_EQ(positions->ids, golden<std::int32_t>("position_ids"));
  const TextModel model = text(WeightFormat::kF32);
  KvCache cache;
  TextOutput output =
      model.prefill({tokens_, positions->ids, positions->delta, &picture}, cache, pool_).value();
  expect_close(output.hidden.values, "hidden_all");
  expect_close(output.logits, "logits_000");

  std::vector<std::int32_t> generated;
  const std::vector<std::int32_t> expected = golden<std::int32_t>("output_ids");
  while (generated.size() < expected.size()) {
    generated.push_back(argmax(output.logits));
    output = model.decode_step(generated.back(), cache, pool_).value();
  }
  EXPECT_EQ(generated, expected);
  EXPECT_EQ(cache.tokens, tokens_.size() + expected.size());
}

TEST_F(ForwardTest, DecodeStepsEqualALongerPrefill) {
  const TextModel model = text(WeightFormat::kF32);
  const std::int32_t tokens[] = {5, 17, 80, 3, 120};
  const auto positions = vision::mrope_positions(tokens, config_.image_token_id, {}, 2).value();
  KvCache whole, stepwise;
  const TextOutput all = model.prefill({tokens, positions.ids, 0, nullptr}, whole, pool_).value();
  const std::int32_t first[] = {0, 0, 0};
  TextOutput last =
      model.prefill({std::span(tokens, 1), first, 0, nullptr}, stepwise, pool_).value();
  for (std::size_t t = 1; t < 5; ++t) last = model.decode_step(tokens[t], stepwise, pool_).value();
  ASSERT_EQ(all.logits.size(), last.logits.size());
  for (std::size_t i = 0; i < all.logits.size(); ++i)
    EXPECT_NEAR(all.logits[i], last.logits[i], 1e-5f);
}

TEST_F(ForwardTest, ObserverSeesEveryLayer) {
  const TextModel model = text(WeightFormat::kF32);
  const std::int32_t token = 5, position[] = {0, 0, 0};
  KvCache cache;
  std::vector<std::string> names;
  const auto observer = [&](const Stage& stage, const Matrix&) {
    if (stage.kind == "layer_out") names.push_back(stage.name());
  };
  ASSERT_TRUE(
      model.prefill({std::span(&token, 1), position, 0, nullptr}, cache, pool_, observer).ok());
  EXPECT_THAT(names, ::testing::ElementsAre("layer_out_00", "layer_out_01", "layer_out_02"));
}

TEST_F(ForwardTest, StreamingGivesTheSameValues) {
  const VisionOutput picture = see(WeightFormat::kF32);
  PictureInput input{patches_, grid_};
  double planned = VisionModel::products(config_.vision, std::span(&input, 1)), done = 0;
  const auto count = [&](double products) {
    done += products;
    return Status();
  };
  const auto seen = VisionModel::stream(config_, *checkpoint_, WeightFormat::kF32,
                                        std::span(&input, 1), pool_, {}, count);
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(seen->front().image_embeds.values, picture.image_embeds.values);
  for (std::size_t k = 0; k < picture.deepstack.size(); ++k)
    EXPECT_EQ(seen->front().deepstack[k].values, picture.deepstack[k].values);
  EXPECT_NEAR(done, planned, planned * 1e-9);

  const auto positions =
      vision::mrope_positions(tokens_, config_.image_token_id, std::span(&grid_, 1), 2).value();
  const std::int32_t words[] = {5, 17, 80};
  const auto word_positions = vision::mrope_positions(words, config_.image_token_id, {}, 2).value();
  const TextInput prompts[] = {{tokens_, positions.ids, positions.delta, &picture},
                               {words, word_positions.ids, 0, nullptr}};
  planned = TextModel::products(config_.text, prompts);
  done = 0;
  const auto answers =
      TextModel::stream(config_, *checkpoint_, WeightFormat::kF32, prompts, pool_, {}, count);
  ASSERT_TRUE(answers.ok()) << answers.status();
  const TextModel model = text(WeightFormat::kF32);
  for (std::size_t p = 0; p < 2; ++p) {
    KvCache cache;
    const TextOutput whole = model.prefill(prompts[p], cache, pool_).value();
    EXPECT_EQ((*answers)[p].hidden.values, whole.hidden.values) << p;
    EXPECT_EQ((*answers)[p].logits, whole.logits) << p;
  }
  EXPECT_NEAR(done, planned, planned * 1e-9);

  const auto stopped = TextModel::stream(config_, *checkpoint_, WeightFormat::kF32, prompts, pool_,
                                         {}, [](double) { return cancelled("stopped"); });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
}

TEST_F(ForwardTest, LoadingAndStepsTellTheirProgress) {
  double done = 0;
  const auto count = [&](double products) {
    done += products;
    return Status();
  };
  const auto model = TextModel::load(config_, *checkpoint_, WeightFormat::kF32, count);
  ASSERT_TRUE(model.ok()) << model.status();
  double planned = TextModel::load_products(config_.text);
  EXPECT_NEAR(done, planned, planned * 1e-9);

  const std::int32_t words[] = {5, 17, 80};
  const auto positions = vision::mrope_positions(words, config_.image_token_id, {}, 2).value();
  const TextInput prompt{words, positions.ids, 0, nullptr};
  const TextInput token{std::span(words, 1), {}, 0, nullptr};
  done = 0;
  KvCache cache;
  ASSERT_TRUE(model->prefill(prompt, cache, pool_, {}, count).ok());
  ASSERT_TRUE(model->decode_step(7, cache, pool_, count).ok());
  planned = TextModel::products(config_.text, std::span(&prompt, 1)) +
            TextModel::products(config_.text, std::span(&token, 1));
  EXPECT_NEAR(done, planned, planned * 1e-9);
  const auto stop = [](double) { return cancelled("stopped"); };
  EXPECT_EQ(model->decode_step(7, cache, pool_, stop).status().code(), StatusCode::kCancelled);
}

TEST_F(ForwardTest, RoundedWeightsStayNear) {
  const std::vector<float> exact = golden<float>("image_embeds");
  double differences[2] = {};
  for (const WeightFormat format : {WeightFormat::kF16, WeightFormat::kW8}) {
    const std::vector<float> rounded = see(format).image_embeds.values;
    double dot = 0, ours = 0, theirs = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      dot += static_cast<double>(exact[i]) * rounded[i];
      ours += static_cast<double>(rounded[i]) * rounded[i];
      theirs += static_cast<double>(exact[i]) * exact[i];
    }
    differences[format == WeightFormat::kW8] = 1 - dot / std::sqrt(ours * theirs);
  }
  EXPECT_LT(differences[0], 1e-6);
  EXPECT_LT(differences[1], 1e-3);
  EXPECT_GT(differences[1], differences[0]);
}

TEST_F(ForwardTest, RefusesWrongTokens) {
  const TextModel model = text(WeightFormat::kF32);
  KvCache cache;
  const std::int32_t position[] = {0, 0, 0};
  const std::int32_t huge = 1 << 20, negative = -1;
  for (const std::int32_t* token : {&huge, &negative}) {
    const auto output = model.prefill({std::span(token, 1), position, 0, nullptr}, cache, pool_);
    EXPECT_EQ(output.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(output.status().message(), HasSubstr("below 384"));
  }
  EXPECT_FALSE(model.prefill({{}, {}, 0, nullptr}, cache, pool_).ok());
  const VisionOutput picture = see(WeightFormat::kF32);
  const std::int32_t text_token = 5;
  const auto output =
      model.prefill({std::span(&text_token, 1), position, 0, &picture}, cache, pool_);
  EXPECT_THAT(output.status().message(), HasSubstr("image tokens, found 0"));
}

TEST(Argmax, TakesTheFirstOfEquals) { EXPECT_EQ(argmax(std::vector<float>{1, 3, 2, 3}), 1); }

}  // namespace
}  // namespace qhx::reference
