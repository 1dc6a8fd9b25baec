// Every graph that forge emits against the reference forward pass, stage by stage, on tiny random
// checkpoints of different shapes: on our CPU library (QHX_CPU_LIB names it) with float32
// activations, and, if QHX_HTP_LIB_DIR names the vendor's x86 libraries, on those with float16.
//
// Thresholds are those of the project's parity ladder. Against the reference with weights rounded
// the same way only the activations' rounding is left: none but the f16 KV cache for float32.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "base/f16.h"
#include "forge/arch/lm_head.h"
#include "forge/arch/text_decoder.h"
#include "forge/arch/text_graph_runner.h"
#include "forge/arch/vision_encoder.h"
#include "forge/ranges/choose_integers.h"
#include "qnn/backend.h"
#include "random_checkpoint.h"
#include "reference/forward.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Shape {
  const char* name;
  std::uint32_t heads, kv_heads;
  std::vector<std::size_t> deepstack;
  bool tied;
  int width, height;  // of the picture
  // Rows of a prefill call: few, so that prompts take several calls and the last is not full, or a
  // multiple of 32, where the HTP library takes other paths.
  std::uint32_t prefill_rows = 7;
  std::uint32_t vision_heads = 4, vision_width = 64;
};

const Shape kShapes[] = {
    {"GroupedTied", 4, 2, {0, 2}, true, 64, 64},
    {"GroupedAligned", 4, 2, {0, 2}, true, 64, 64, 64},
    {"MultiQueryWide", 4, 1, {1}, false, 96, 64},
    {"MultiHeadTall", 2, 2, {0, 1, 3}, true, 32, 96},
    {"DeepstackOutOfOrder", 4, 2, {3, 1}, true, 64, 32},
    {"NoDeepstack", 6, 3, {}, false, 64, 32},
    // More patches than a tile of queries has rows, and heads that do not come in pairs.
    {"ManyPatches", 4, 2, {1}, true, 288, 256, 32, 3, 48},
};

constexpr std::uint32_t kContextRows = 96;
constexpr int kImageToken = 290;

json tiny_config(const Shape& shape) {
  json config = std::move(tools::preset_config("tiny")).value();
  json &text = config["text_config"], &vision = config["vision_config"];
  text["vocab_size"] = 300;
  text["eos_token_id"] = 299;
  text["num_attention_heads"] = shape.heads;
  text["num_key_value_heads"] = shape.kv_heads;
  config["tie_word_embeddings"] = text["tie_word_embeddings"] = shape.tied;
  config["image_token_id"] = kImageToken;
  config["video_token_id"] = 291;
  config["vision_start_token_id"] = 292;
  config["vision_end_token_id"] = 293;
  vision["deepstack_visual_indexes"] = shape.deepstack;
  vision["num_heads"] = shape.vision_heads;
  vision["hidden_size"] = shape.vision_width;
  return config;
}

// What graphs are built with.
struct Setting {
  std::string library;
  std::uint32_t soc_model = 0;
  Qnn_DataType_t activation = QNN_DATATYPE_FLOAT_32;
  WeightFormat weights = WeightFormat::kF16;
  KvFormat kv = KvFormat::kF16;
  double least_cosine = 0;
  bool integers = false;  // activations as 16-bit integers where they bear it
};

class Parity : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("parity-" + std::to_string(::getpid()));
    ASSERT_TRUE(tools::write_random_checkpoint(
                    {.config = tiny_config(GetParam()), .folder = folder_, .seed = 5}, pool_)
                    .ok());
    config_ = std::move(hf::load_config(folder_)).value();
    checkpoint_ =
        std::make_unique<hf::Checkpoint>(std::move(hf::Checkpoint::open(folder_)).value());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void compare(const Setting& setting);
  void compare_on_htp(WeightFormat weights, bool integers = false);
  void run_reference(WeightFormat weights);
  Status run_graphs(const Setting& setting);
  void expect_stage(const char* stage, std::span<const float> expected,
                    std::span<const float> found, double least) {
    EXPECT_GE(cosine(expected, found), least) << stage;
  }

  ThreadPool pool_{2};
  fs::path folder_;
  hf::ModelConfig config_;
  std::unique_ptr<hf::Checkpoint> checkpoint_;

  std::vector<std::int32_t> tokens_;
  vision::MropePositions positions_;
  const std::vector<std::int32_t> answer_ = {17, 203, 88};  // decoded after the prompt

  // What the reference gives.
  RangeTable ranges_;
  reference::VisionOutput picture_;
  std::vector<float> hidden_;                // [T, H]
  std::vector<std::vector<float>> decoded_;  // [H] each
  std::vector<std::vector<float>> logits_;   // after the prompt and each decoded token
  // What the graphs give.
  FloatTensors graph_picture_;
  std::vector<float> graph_hidden_;
  std::vector<std::vector<float>> graph_decoded_, graph_logits_;
};

void Parity::run_reference(WeightFormat weights) {
  auto vision = reference::VisionModel::load(config_, *checkpoint_, weights);
  ASSERT_TRUE(vision.ok()) << vision.status();
  vision::Image image{GetParam().width, GetParam().height, {}};
  image.rgb.resize(image.pixels() * 3);
  std::mt19937 random(3);
  for (auto& value : image.rgb) value = static_cast<std::uint8_t>(random() & 0xFF);
  const vision::PatchParams params;
  const auto grid = vision::patch_grid(image.width, image.height, params);
  ASSERT_TRUE(grid.ok()) << grid.status();
  reference::Matrix patches(grid->patches(), vision::patch_values(params));
  vision::extract_patches(image, params, patches.values);
  const auto measure = [&](const reference::Stage& stage, const reference::Matrix& value) {
    ranges_[stage.name()].add(value.values);
  };
  picture_ = vision->run(patches, *grid, pool_, measure);

  tokens_ = {5, 9, 292};
  tokens_.insert(tokens_.end(), grid->patches() / 4, kImageToken);
  tokens_.insert(tokens_.end(), {293, 77, 31, 140, 8});
  positions_ =
      std::move(vision::mrope_positions(tokens_, kImageToken, std::span(&*grid, 1), 2)).value();
  auto text = reference::TextModel::load(config_, *checkpoint_, weights);
  ASSERT_TRUE(text.ok()) << text.status();
  reference::KvCache cache;
  const auto prompt =
      text->prefill({tokens_, positions_.ids, positions_.delta, &picture_}, cache, pool_, measure);
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  hidden_ = prompt->hidden.values;
  logits_ = {prompt->logits};
  for (const std::int32_t token : answer_) {
    const auto step = text->decode_step(token, cache, pool_);
    ASSERT_TRUE(step.ok()) << step.status();
    decoded_.push_back(step->hidden.values);
    logits_.push_back(step->logits);
  }
}

// Rows of the embedding table as a bundle holds it.
std::vector<float> embed(const hf::Checkpoint& checkpoint, std::span<const std::int32_t> tokens) {
  const auto table = checkpoint.find("model.language_model.embed_tokens.weight");
  std::vector<float> x;
  for (const std::int32_t token : tokens) {
    std::vector<float> row(table->row_size());
    EXPECT_TRUE(hf::read_f32(*table, static_cast<std::size_t>(token), 1, row).ok());
    for (const float v : row) x.push_back(f16_to_f32(f32_to_f16(v)));
  }
  return x;
}

Status Parity::run_graphs(const Setting& setting) {
  QHX_ASSIGN_OR_RETURN(const auto library, qnn::BackendLibrary::open(setting.library));
  QHX_ASSIGN_OR_RETURN(const auto backend,
                       qnn::Backend::create(library, {.soc_model = setting.soc_model}));
  const WeightLoader weights(*checkpoint_, setting.weights, setting.activation, pool_,
                             [](std::size_t) { return Status(); });
  ScalePlan scales;
  if (setting.integers) {
    scales.integers = choose_integers(config_, ranges_, scales).plan;
    // Otherwise the comparison would be of something else.
    EXPECT_TRUE(reach_of(scales.integers.vision_mlp, 0).has_value());
    EXPECT_TRUE(reach_of(scales.integers.text_o, 0).has_value());
    EXPECT_TRUE(reach_of(scales.integers.text_mlp, 0).has_value());
  }
  const PatchGrid grid{static_cast<std::uint32_t>(GetParam().height) / 16,
                       static_cast<std::uint32_t>(GetParam().width) / 16};
  QHX_ASSIGN_OR_RETURN(const auto vision_context, qnn::Context::create(backend));
  QHX_ASSIGN_OR_RETURN(const qnn::Graph vision,
                       build_vision_encoder(vision_context, config_, weights, grid, {}, scales));
  QHX_ASSIGN_OR_RETURN(graph_picture_, run_graph(vision, {{"patches", picture_.vision_in.values}}));

  QHX_ASSIGN_OR_RETURN(const auto text_context,
                       qnn::Context::create(backend, {.share_weights = true}));
  const bool deepstack = !config_.vision.deepstack_layers.empty();
  QHX_ASSIGN_OR_RETURN(
      const std::vector<qnn::Graph> text,
      build_text_decoder(text_context, config_, weights,
                         {.graphs = {{"prefill", GetParam().prefill_rows, kContextRows, deepstack},
                                     {"decode_1", 1, kContextRows, false}},
                          .kv = setting.kv},
                         scales));
  QHX_ASSIGN_OR_RETURN(const auto head_context, qnn::Context::create(backend));
  QHX_ASSIGN_OR_RETURN(const qnn::Graph head, build_lm_head(head_context, config_, weights));

  // The prompt's rows: embeddings, and the picture's features where the picture is.
  const std::size_t hidden = config_.text.hidden_size;
  std::vector<float> x = embed(*checkpoint_, tokens_);
  std::vector<std::vector<float>> features(config_.vision.deepstack_layers.size(),
                                           std::vector<float>(x.size()));
  std::size_t next = 0;
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    if (tokens_[t] != kImageToken) continue;
    std::copy_n(graph_picture_["image_embeds"].data() + next * hidden, hidden, &x[t * hidden]);
    for (std::size_t k = 0; k < features.size(); ++k) {
      const auto& rows = graph_picture_["deepstack_" + std::to_string(k)];
      std::copy_n(rows.data() + next * hidden, hidden, &features[k][t * hidden]);
    }
    ++next;
  }
  TextGraphRunner runner(config_, text[0], text[1], kContextRows);
  QHX_ASSIGN_OR_RETURN(graph_hidden_, runner.prefill(x, positions_.ids, features));
  const auto add_logits = [&](std::span<const float> y) -> Status {
    QHX_ASSIGN_OR_RETURN(FloatTensors out, run_graph(head, {{"x", {y.begin(), y.end()}}}));
    graph_logits_.push_back(out["logits"]);
    return {};
  };
  QHX_RETURN_IF_ERROR(add_logits(std::span(graph_hidden_).last(hidden)));
  auto position = static_cast<std::int32_t>(tokens_.size()) + positions_.delta;
  for (const std::int32_t token : answer_) {
    QHX_ASSIGN_OR_RETURN(std::vector<float> y,
                         runner.decode(embed(*checkpoint_, std::span(&token, 1)), position++));
    QHX_RETURN_IF_ERROR(add_logits(y));
    graph_decoded_.push_back(std::move(y));
  }
  return {};
}

void Parity::compare(const Setting& setting) {
  run_reference(setting.weights);
  const Status status = run_graphs(setting);
  ASSERT_TRUE(status.ok()) << status;
  const double least = setting.least_cosine;
  expect_stage("image_embeds", picture_.image_embeds.values, graph_picture_["image_embeds"], least);
  ASSERT_EQ(picture_.deepstack.size(), GetParam().deepstack.size());
  ASSERT_EQ(graph_picture_.size(), 1 + GetParam().deepstack.size());
  for (std::size_t k = 0; k < picture_.deepstack.size(); ++k)
    expect_stage("deepstack", picture_.deepstack[k].values,
                 graph_picture_["deepstack_" + std::to_string(k)], least);
  expect_stage("hidden_prefill", hidden_, graph_hidden_, least);
  for (std::size_t i = 0; i < decoded_.size(); ++i)
    expect_stage("hidden_decode", decoded_[i], graph_decoded_[i], least);
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    expect_stage("logits", logits_[i], graph_logits_[i], least);
    EXPECT_EQ(reference::argmax(logits_[i]), reference::argmax(graph_logits_[i])) << "logits " << i;
  }
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void Parity::compare_on_htp(WeightFormat weights, bool integers) {
  const std::string folder = environment("QHX_HTP_LIB_DIR");
  if (folder.empty()) GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set";
  compare({.library = folder + "/libQnnHtp.so",
           .soc_model = 69,
           .activation = QNN_DATATYPE_FLOAT_16,
           .weights = weights,
           .least_cosine = 0.9999,
           .integers = integers});
}

TEST_P(Parity, CpuLibraryF16Weights) {
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  compare({.library = library, .weights = WeightFormat::kF16, .least_cosine = 0.99999});
}

TEST_P(Parity, CpuLibraryW8Weights) {
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  compare({.library = library, .weights = WeightFormat::kW8, .least_cosine = 0.9999});
}

TEST_P(Parity, CpuLibraryW4Weights) {
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  compare({.library = library, .weights = WeightFormat::kW4, .least_cosine = 0.9999});
}

// A value of the cache is off by up to 1/254 of its row's largest.
TEST_P(Parity, CpuLibraryInt8Cache) {
  const std::string library = environment("QHX_CPU_LIB");
  if (library.empty()) GTEST_SKIP() << "QHX_CPU_LIB is not set";
  compare({.library = library,
           .weights = WeightFormat::kF16,
           .kv = KvFormat::kInt8,
           .least_cosine = 0.9999});
}

TEST_P(Parity, VendorLibraryF16Weights) { compare_on_htp(WeightFormat::kF16); }
TEST_P(Parity, VendorLibraryW8Weights) { compare_on_htp(WeightFormat::kW8); }
TEST_P(Parity, VendorLibraryW4Weights) { compare_on_htp(WeightFormat::kW4); }
TEST_P(Parity, VendorLibraryIntegerActivations) { compare_on_htp(WeightFormat::kW8, true); }

INSTANTIATE_TEST_SUITE_P(Shapes, Parity, ::testing::ValuesIn(kShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace qhx::forge
