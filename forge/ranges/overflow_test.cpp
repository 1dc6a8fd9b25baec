// Models whose activations leave 16-bit floats: the plan keeps the vendor's graphs equal to the
// reference (QHX_HTP_LIB_DIR names the x86 libraries), without it they are not; with 32-bit floats
// a plan changes nothing (QHX_CPU_LIB names our library). And the demo model, measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/f16.h"
#include "base/file.h"
#include "base/mapped_file.h"
#include "forge/arch/lm_head.h"
#include "forge/arch/text_decoder.h"
#include "forge/arch/text_graph_runner.h"
#include "forge/arch/vision_encoder.h"
#include "forge/ranges/ranges.h"
#include "forge/ranges/stages.h"
#include "qnn/backend.h"
#include "random_checkpoint.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kDemo = fs::path(QHX_SOURCE_DIR) / "demo/model";
constexpr std::uint32_t kContextRows = 64, kPrefillRows = 16;
constexpr int kWidth = 96, kHeight = 64;

struct Tensors {
  std::vector<float> image_embeds, hidden, logits;
  std::vector<std::vector<float>> deepstack;  // as the model means them
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class Overflow : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("overflow-" + std::to_string(::getpid()));
    auto config = std::move(tools::preset_config("tiny")).value();
    ASSERT_TRUE(tools::adopt_tokenizer(config, kDemo).ok());
    ASSERT_TRUE(
        tools::write_random_checkpoint(
            {.config = config, .folder = folder_, .tokenizer = kDemo, .dtype = DType::kF32}, pool_)
            .ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Multiplies a tensor of the checkpoint.
  void multiply(const std::string& name, float factor) {
    const fs::path file = folder_ / "model.safetensors";
    std::string bytes = read_file(file).value();
    const auto header = hf::parse_safetensors(std::as_bytes(std::span(bytes))).value();
    const auto entry = header.tensors.find(name);
    ASSERT_NE(entry, header.tensors.end()) << name;
    for (std::size_t at = entry->second.begin; at < entry->second.end; at += sizeof(float)) {
      char* place = bytes.data() + header.data_offset + at;
      float value = 0;
      std::memcpy(&value, place, sizeof value);
      value *= factor;
      std::memcpy(place, &value, sizeof value);
    }
    ASSERT_TRUE(write_file(file, bytes).ok());
  }

  // Residual streams of up to 10^6, and everything else that a plan can mend.
  void make_large() {
    const std::string vision = "model.visual.", text = "model.language_model.layers.";
    for (const char* part : {".weight", ".bias"}) {
      multiply(vision + "blocks.1.mlp.linear_fc2" + part, 1e5f);
      multiply(vision + "blocks.2.attn.proj" + part, 6e4f);
      multiply(vision + "deepstack_merger_list.0.linear_fc2" + part, 1e5f);
    }
    multiply(text + "0.mlp.down_proj.weight", 1e5f);
    multiply(text + "1.self_attn.q_proj.weight", 5e4f);  // forgotten by its norm
    multiply(text + "1.self_attn.v_proj.weight", 5e4f);
    multiply(text + "1.mlp.up_proj.weight", 5e4f);
    multiply(text + "2.self_attn.o_proj.weight", 5e4f);
  }

  void open(const fs::path& folder, const fs::path& inputs = {}, int width = kWidth,
            int height = kHeight) {
    config_ = hf::load_config(folder).value();
    checkpoint_ = std::make_unique<hf::Checkpoint>(std::move(hf::Checkpoint::open(folder)).value());
    const std::string tokenizer = read_file(folder / "tokenizer.json").value();
    set_ = make_calibration_set(config_, {.folder = inputs,
                                          .tokenizer_json = tokenizer,
                                          .before = "<|im_start|>user\n",
                                          .after = "<|im_end|>\n<|im_start|>assistant\n",
                                          .width = width,
                                          .height = height})
               .value();
  }

  RangeReport measure() {
    double last = 0;
    auto report = plan_scales(*checkpoint_, config_, set_, false, pool_, [&](double fraction) {
      EXPECT_GE(fraction, last);
      last = fraction;
      return Status();
    });
    EXPECT_TRUE(report.ok()) << report.status();
    EXPECT_NEAR(last, 1.0, 1e-9);
    return std::move(report).value();
  }

  // The set's picture and its prompt.
  Tensors run_reference(WeightFormat weights) {
    picture_ = reference::VisionModel::load(config_, *checkpoint_, weights)
                   .value()
                   .run(set_.pictures[0].patches, set_.pictures[0].grid, pool_);
    const auto& tokens = set_.prompts[0].tokens;
    positions_ = vision::mrope_positions(tokens, config_.image_token_id,
                                         std::span(&set_.pictures[0].grid, 1), 2)
                     .value();
    reference::KvCache cache;
    const auto model = reference::TextModel::load(config_, *checkpoint_, weights).value();
    const auto text =
        model.prefill({tokens, positions_.ids, positions_.delta, &picture_}, cache, pool_).value();
    Tensors out{picture_.image_embeds.values, text.hidden.values, text.logits, {}};
    for (const auto& features : picture_.deepstack) out.deepstack.push_back(features.values);
    return out;
  }

  struct Setting {
    std::string library;
    std::uint32_t soc_model = 0;
    Qnn_DataType_t activation = QNN_DATATYPE_FLOAT_32;
    WeightFormat weights = WeightFormat::kF16;
  };
  static Setting vendor(WeightFormat weights) {
    return {environment("QHX_HTP_LIB_DIR") + "/libQnnHtp.so", 69, QNN_DATATYPE_FLOAT_16, weights};
  }

  // The same through graphs; run_reference() comes first.
  Result<Tensors> run_graphs(const Setting& setting, const ScalePlan& plan);
  // All graphs, serialized.
  Result<std::vector<std::byte>> serialize(const Setting& setting, const ScalePlan* plan);

  ThreadPool pool_{2};
  fs::path folder_;
  hf::ModelConfig config_;
  std::unique_ptr<hf::Checkpoint> checkpoint_;
  CalibrationSet set_;
  reference::VisionOutput picture_;
  vision::MropePositions positions_;
};

PatchGrid patches_of(const vision::Grid& grid) {
  return {static_cast<std::uint32_t>(grid.height), static_cast<std::uint32_t>(grid.width)};
}

TextDecoderSpec text_spec() {
  return {.graphs = {{"prefill", kPrefillRows, kContextRows, true},
                     {"decode_1", 1, kContextRows, false}}};
}

Result<Tensors> Overflow::run_graphs(const Setting& setting, const ScalePlan& plan) {
  QHX_ASSIGN_OR_RETURN(const auto library, qnn::BackendLibrary::open(setting.library));
  QHX_ASSIGN_OR_RETURN(const auto backend,
                       qnn::Backend::create(library, {.soc_model = setting.soc_model}));
  const WeightLoader weights(*checkpoint_, setting.weights, setting.activation, pool_,
                             [](std::size_t) { return Status(); });
  QHX_ASSIGN_OR_RETURN(const auto vision_context, qnn::Context::create(backend));
  QHX_ASSIGN_OR_RETURN(const qnn::Graph vision,
                       build_vision_encoder(vision_context, config_, weights,
                                            patches_of(set_.pictures[0].grid), {}, plan));
  QHX_ASSIGN_OR_RETURN(FloatTensors seen,
                       run_graph(vision, {{"patches", picture_.vision_in.values}}));
  QHX_ASSIGN_OR_RETURN(const auto text_context,
                       qnn::Context::create(backend, {.share_weights = true}));
  QHX_ASSIGN_OR_RETURN(const std::vector<qnn::Graph> text,
                       build_text_decoder(text_context, config_, weights, text_spec(), plan));
  QHX_ASSIGN_OR_RETURN(const auto head_context, qnn::Context::create(backend));
  QHX_ASSIGN_OR_RETURN(const qnn::Graph head, build_lm_head(head_context, config_, weights));

  Tensors out;
  out.image_embeds = seen["image_embeds"];
  const std::size_t hidden = config_.text.hidden_size;
  const auto& tokens = set_.prompts[0].tokens;
  const hf::TensorView table =
      checkpoint_->find("model.language_model.embed_tokens.weight").value();
  std::vector<float> x(tokens.size() * hidden);
  std::vector<std::vector<float>> features(config_.vision.deepstack_layers.size(),
                                           std::vector<float>(x.size()));
  std::size_t next = 0;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    QHX_RETURN_IF_ERROR(hf::read_f32(table, static_cast<std::size_t>(tokens[t]), 1,
                                     std::span(x).subspan(t * hidden, hidden)));
    if (tokens[t] != config_.image_token_id) continue;
    std::copy_n(&seen["image_embeds"][next * hidden], hidden, &x[t * hidden]);
    for (std::size_t k = 0; k < features.size(); ++k)
      std::copy_n(&seen["deepstack_" + std::to_string(k)][next * hidden], hidden,
                  &features[k][t * hidden]);
    ++next;
  }
  for (std::size_t k = 0; k < features.size(); ++k) {
    out.deepstack.push_back(seen["deepstack_" + std::to_string(k)]);
    for (float& value : out.deepstack.back()) value = std::ldexp(value, plan.feature(k));
  }
  TextGraphRunner runner(config_, text[0], text[1], kContextRows);
  QHX_ASSIGN_OR_RETURN(out.hidden, runner.prefill(x, positions_.ids, features));
  const std::vector<float> last(out.hidden.end() - static_cast<std::ptrdiff_t>(hidden),
                                out.hidden.end());
  QHX_ASSIGN_OR_RETURN(FloatTensors logits, run_graph(head, {{"x", last}}));
  out.logits = logits["logits"];
  return out;
}

Result<std::vector<std::byte>> Overflow::serialize(const Setting& setting, const ScalePlan* plan) {
  QHX_ASSIGN_OR_RETURN(const auto library, qnn::BackendLibrary::open(setting.library));
  QHX_ASSIGN_OR_RETURN(const auto backend,
                       qnn::Backend::create(library, {.soc_model = setting.soc_model}));
  const WeightLoader weights(*checkpoint_, setting.weights, setting.activation, pool_,
                             [](std::size_t) { return Status(); });
  const PatchGrid grid = patches_of(set_.pictures[0].grid);
  QHX_ASSIGN_OR_RETURN(const auto vision, qnn::Context::create(backend));
  QHX_RETURN_IF_ERROR((plan == nullptr
                           ? build_vision_encoder(vision, config_, weights, grid)
                           : build_vision_encoder(vision, config_, weights, grid, {}, *plan))
                          .status());
  QHX_ASSIGN_OR_RETURN(const auto text, qnn::Context::create(backend, {.share_weights = true}));
  QHX_RETURN_IF_ERROR((plan == nullptr
                           ? build_text_decoder(text, config_, weights, text_spec())
                           : build_text_decoder(text, config_, weights, text_spec(), *plan))
                          .status());
  std::vector<std::byte> all;
  for (const auto& context : {vision, text}) {
    QHX_ASSIGN_OR_RETURN(const AlignedBuffer binary, context->serialize());
    all.insert(all.end(), binary.bytes().begin(), binary.bytes().end());
  }
  return all;
}

TEST_F(Overflow, PlanOfAnOrdinaryModelLeavesGraphsAsTheyAre) {
  open(folder_);
  const RangeReport report = measure();
  EXPECT_TRUE(report.plan.identity());
  EXPECT_THAT(report.warnings, IsEmpty());
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  const auto without = serialize({.library = library}, nullptr);
  const auto with = serialize({.library = library}, &report.plan);
  ASSERT_TRUE(without.ok()) << without.status();
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_TRUE(*without == *with);
}

// A factor on everything that a plan can scale, in 32-bit floats, where all of it is rounding.
TEST_F(Overflow, AnyPlanIsExactInFloat32) {
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  open(folder_);
  ScalePlan plan;
  plan.vision_residual = 3;
  plan.vision_attention = {4, 1, 5};
  plan.deepstack = {2, 6};
  plan.text_residual = 4;
  plan.text = {{.attention = 6, .q = 1, .k = 2, .mlp = 7},
               {.attention = 1, .q = 3, .k = 0, .mlp = 2}};
  for (const WeightFormat weights : {WeightFormat::kF16, WeightFormat::kW8}) {
    run_reference(weights);
    const auto without = run_graphs({.library = library, .weights = weights}, {});
    const auto with = run_graphs({.library = library, .weights = weights}, plan);
    ASSERT_TRUE(without.ok()) << without.status();
    ASSERT_TRUE(with.ok()) << with.status();
    EXPECT_GT(cosine(without->image_embeds, with->image_embeds), 1 - 1e-9);
    for (std::size_t k = 0; k < 2; ++k)
      EXPECT_GT(cosine(without->deepstack[k], with->deepstack[k]), 1 - 1e-9) << k;
    // The KV cache is of 16-bit floats, and f16 matrices that get smaller may round again.
    EXPECT_GT(cosine(without->hidden, with->hidden), 1 - 1e-6);
    EXPECT_GT(cosine(without->logits, with->logits), 1 - 1e-6);
  }
}

TEST_F(Overflow, PlanOfALargeModelHasNoWarnings) {
  make_large();
  open(folder_);
  const RangeReport report = measure();
  EXPECT_GT(report.ranges.at("block_out_03").largest(), 1e5f);
  EXPECT_GT(report.ranges.at("layer_out_02").largest(), 1e5f);
  EXPECT_GT(report.ranges.at("layer_product_01").largest(), kLargestHalf);
  EXPECT_GT(report.ranges.at("deepstack_00").largest(), kLargestHalf);
  EXPECT_GE(report.plan.vision_residual, 4);
  EXPECT_GE(report.plan.text_residual, 4);
  EXPECT_GE(report.plan.layer(1).mlp, report.plan.text_residual);
  EXPECT_GE(report.plan.feature(0), 1);
  EXPECT_THAT(report.warnings, IsEmpty());
}

TEST_F(Overflow, VendorGraphsHoldALargeModelWithThePlanOnly) {
  if (environment("QHX_HTP_LIB_DIR").empty()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  make_large();
  open(folder_);
  const RangeReport report = measure();
  for (const WeightFormat weights : {WeightFormat::kF16, WeightFormat::kW8}) {
    const Tensors expected = run_reference(weights);
    const auto with = run_graphs(vendor(weights), report.plan);
    ASSERT_TRUE(with.ok()) << with.status();
    const double least = 0.9999;
    EXPECT_GE(cosine(expected.image_embeds, with->image_embeds), least);
    for (std::size_t k = 0; k < 2; ++k)
      EXPECT_GE(cosine(expected.deepstack[k], with->deepstack[k]), least) << k;
    EXPECT_GE(cosine(expected.hidden, with->hidden), least);
    EXPECT_GE(cosine(expected.logits, with->logits), least);
    EXPECT_EQ(reference::argmax(expected.logits), reference::argmax(with->logits));

    const auto without = run_graphs(vendor(weights), {});
    ASSERT_TRUE(without.ok()) << without.status();
    // Infinities make the cosine no number, which is not at least anything either.
    EXPECT_FALSE(cosine(expected.image_embeds, without->image_embeds) >= 0.9);
    EXPECT_FALSE(cosine(expected.deepstack[0], without->deepstack[0]) >= 0.9);
    EXPECT_FALSE(cosine(expected.hidden, without->hidden) >= 0.9);
  }
}

TEST_F(Overflow, WhatCannotBeMendedIsNamed) {
  multiply("model.visual.blocks.1.mlp.linear_fc1.weight", 1e5f);
  multiply("model.language_model.layers.2.mlp.gate_proj.weight", 1e5f);
  open(folder_);
  const RangeReport report = measure();
  EXPECT_THAT(
      report.warnings,
      ::testing::IsSupersetOf(
          {HasSubstr("model.visual.blocks.1.mlp.linear_fc1, output (block_fc1_01): reaches"),
           HasSubstr("model.language_model.layers.2.mlp.gate_proj, output")}));
}

TEST_F(Overflow, DemoModelNeedsNothing) {
  open(kDemo, fs::path(QHX_SOURCE_DIR) / "demo/samples", 256, 256);
  const RangeReport report = measure();
  EXPECT_TRUE(report.plan.identity());
  EXPECT_THAT(report.warnings, IsEmpty());
  const std::vector<MeasuredStage> stages = measured_stages(config_);
  EXPECT_EQ(report.ranges.size(), stages.size());
  for (const MeasuredStage& stage : stages)
    EXPECT_TRUE(report.ranges.contains(stage.name)) << stage.name;
  // The residual stream grows: what made a look at ranges necessary.
  EXPECT_NEAR(report.ranges.at("block_out_05").rms(), 60, 6);
  EXPECT_LT(report.ranges.at("block_out_00").rms(), 30);
}

TEST_F(Overflow, StopsOnRequest) {
  open(folder_);
  const auto report = plan_scales(*checkpoint_, config_, set_, false, pool_,
                                  [](double) { return cancelled("stopped on request"); });
  EXPECT_EQ(report.status().code(), StatusCode::kCancelled);
}

TEST(NotMeasured, WarnsAndScalesNothing) {
  const RangeReport report = not_measured();
  EXPECT_TRUE(report.plan.identity());
  EXPECT_THAT(report.warnings, ::testing::ElementsAre(HasSubstr("--no-calibrate")));
}

}  // namespace
}  // namespace qhx::forge
