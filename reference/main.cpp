// qhx_reference: runs a Hugging Face folder through the reference forward pass and writes every
// stage as .npy, under the names that qhx_generate --dump uses.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/npy.h"
#include "reference/forward.h"
#include "vision/image.h"
#include "vision/positions.h"
#include "vision/resize.h"

namespace qhx::reference {
namespace {

namespace fs = std::filesystem;

struct Options {
  fs::path folder;
  fs::path ids;
  fs::path image;
  fs::path rgb;
  std::string size;
  int steps = 1;
  int threads = 0;
  fs::path dump;
  bool detail = false;
  WeightFormat format = WeightFormat::kF32;
};

// Writes arrays into a folder, or nowhere if it is empty. The first error is kept.
class Dump {
 public:
  explicit Dump(fs::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    if (folder_.empty()) return;
    fs::create_directories(folder_, error);
    if (error) status_ = io_error(folder_.string() + ": cannot create: " + error.message());
  }
  template <typename T>
  void put(std::string_view name, DType type, std::initializer_list<std::size_t> shape,
           std::span<const T> values) {
    if (folder_.empty() || !status_.ok()) return;
    const std::vector<std::size_t> extents(shape);
    status_ =
        write_npy(folder_ / (std::string(name) + ".npy"), type, extents, std::as_bytes(values));
  }
  void put(std::string_view name, const Matrix& matrix) {
    put(name, DType::kF32, {matrix.rows, matrix.columns}, std::span<const float>(matrix.values));
  }
  const Status& status() const { return status_; }

 private:
  fs::path folder_;
  Status status_;
};

// A JSON list of ids, or an object whose "input_ids" is one.
Result<std::vector<std::int32_t>> read_ids(const fs::path& file) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(file));
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    return (json.is_object() ? json.at("input_ids") : json).get<std::vector<std::int32_t>>();
  } catch (const nlohmann::json::exception& error) {
    return corrupt(file.string() + ": expected a list of token ids: " + error.what());
  }
}

Result<vision::Image> read_rgb(const fs::path& file) {
  QHX_ASSIGN_OR_RETURN(const NpyArray array, read_npy(file));
  if (array.type != DType::kU8 || array.shape.size() != 3 || array.shape[2] != 3 ||
      array.bytes.empty()) {
    return invalid_argument(file.string() + ": expected uint8 [height, width, 3]");
  }
  vision::Image image{static_cast<int>(array.shape[1]), static_cast<int>(array.shape[0]), {}};
  const auto* begin = reinterpret_cast<const std::uint8_t*>(array.bytes.data());
  image.rgb.assign(begin, begin + array.bytes.size());
  return image;
}

// --size as given, else what Hugging Face's processor would choose.
Result<vision::Size> target_size(const Options& options, const hf::ModelConfig& config,
                                 const vision::Image& image) {
  vision::Size size;
  if (options.size.empty()) {
    const auto factor =
        static_cast<int>(config.vision.patch_size * config.vision.spatial_merge_size);
    return vision::smart_resize({image.width, image.height}, factor, config.preprocessor.min_pixels,
                                config.preprocessor.max_pixels);
  }
  if (std::sscanf(options.size.c_str(), "%dx%d", &size.width, &size.height) != 2 ||
      size.width <= 0 || size.height <= 0 || size.width > 16384 || size.height > 16384) {
    return invalid_argument("--size " + options.size +
                            ": expected WIDTHxHEIGHT, each at most 16384");
  }
  return size;
}

Result<vision::Image> read_picture(const Options& options, const hf::ModelConfig& config) {
  if (!options.rgb.empty()) return read_rgb(options.rgb);
  QHX_ASSIGN_OR_RETURN(const vision::Image image, vision::read_image(options.image));
  QHX_ASSIGN_OR_RETURN(const vision::Size size, target_size(options, config, image));
  return vision::fit_image(image, size, vision::FitMode::kStretch);
}

struct Picture {
  vision::Grid grid;
  VisionOutput output;
};

Result<Picture> run_picture(const Options& options, const hf::ModelConfig& config,
                            const hf::Checkpoint& checkpoint, const Observer& observer,
                            ThreadPool& pool, Dump& dump) {
  QHX_ASSIGN_OR_RETURN(const vision::Image image, read_picture(options, config));
  QHX_ASSIGN_OR_RETURN(const PictureInput input, make_picture_input(config, image));
  Picture picture{input.grid, {}};
  dump.put("pixels", DType::kU8,
           {static_cast<std::size_t>(image.height), static_cast<std::size_t>(image.width), 3},
           std::span<const std::uint8_t>(image.rgb));
  dump.put("patches", input.patches);
  QHX_ASSIGN_OR_RETURN(const VisionModel model,
                       VisionModel::load(config, checkpoint, options.format));
  picture.output = model.run(input.patches, input.grid, pool, observer);
  dump.put("vision_in", picture.output.vision_in);
  dump.put("image_embeds", picture.output.image_embeds);
  for (std::size_t k = 0; k < picture.output.deepstack.size(); ++k) {
    dump.put("deepstack_" + std::to_string(k), picture.output.deepstack[k]);
  }
  return picture;
}

// Greedy: `steps` tokens, stop ids are not heeded.
Result<std::vector<std::int32_t>> generate(const TextModel& model, const TextInput& input,
                                           int steps, const Observer& observer, ThreadPool& pool,
                                           Dump& dump) {
  KvCache cache;
  QHX_ASSIGN_OR_RETURN(TextOutput output, model.prefill(input, cache, pool, observer));
  const Matrix& hidden = output.hidden;
  if (observer) dump.put("hidden_all", hidden);
  dump.put("hidden_prefill", DType::kF32, {hidden.columns},
           std::span<const float>(hidden.row(hidden.rows - 1), hidden.columns));
  std::vector<std::int32_t> tokens;
  for (int step = 0; step < steps; ++step) {
    char name[32];
    std::snprintf(name, sizeof name, "logits_%03d", step);
    dump.put(name, DType::kF32, {output.logits.size()}, std::span<const float>(output.logits));
    tokens.push_back(argmax(output.logits));
    if (step + 1 == steps) break;
    QHX_ASSIGN_OR_RETURN(output, model.decode_step(tokens.back(), cache, pool));
  }
  return tokens;
}

Status run(const Options& options) {
  ThreadPool pool(options.threads);
  Dump dump(options.dump);
  Observer observer;
  if (options.detail)
    observer = [&](const Stage& stage, const Matrix& value) {
      if (stage.kind == "block_out" || stage.kind == "layer_out") dump.put(stage.name(), value);
    };
  QHX_ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::load_config(options.folder));
  QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(options.folder));
  QHX_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, read_ids(options.ids));
  std::optional<Picture> picture;
  std::vector<vision::Grid> grids;
  if (!options.image.empty() || !options.rgb.empty()) {
    QHX_ASSIGN_OR_RETURN(picture, run_picture(options, config, checkpoint, observer, pool, dump));
    grids.push_back(picture->grid);
  }
  QHX_ASSIGN_OR_RETURN(const vision::MropePositions positions,
                       vision::mrope_positions(ids, config.image_token_id, grids,
                                               static_cast<int>(config.vision.spatial_merge_size)));
  dump.put("position_ids", DType::kI32, {3, ids.size()},
           std::span<const std::int32_t>(positions.ids));
  dump.put("input_ids", DType::kI32, {ids.size()}, std::span<const std::int32_t>(ids));
  QHX_ASSIGN_OR_RETURN(const TextModel model, TextModel::load(config, checkpoint, options.format));
  const TextInput input{ids, positions.ids, positions.delta, picture ? &picture->output : nullptr};
  QHX_ASSIGN_OR_RETURN(const std::vector<std::int32_t> tokens,
                       generate(model, input, options.steps, observer, pool, dump));
  dump.put("output_ids", DType::kI32, {tokens.size()}, std::span<const std::int32_t>(tokens));
  QHX_RETURN_IF_ERROR(dump.status());
  std::cout << nlohmann::json(tokens).dump() << "\n";
  return {};
}

}  // namespace
}  // namespace qhx::reference

int main(int argc, char** argv) {
  using qhx::reference::WeightFormat;
  qhx::reference::Options options;
  CLI::App app(
      "Runs a Hugging Face Qwen3-VL folder through the reference forward pass (float32, greedy)");
  app.add_option("folder", options.folder, "Hugging Face folder")->required();
  app.add_option("--ids", options.ids,
                 "JSON file: a list of token ids, or an object with input_ids")
      ->required();
  auto* image = app.add_option("--image", options.image, "Picture file");
  app.add_option("--size", options.size,
                 "WIDTHxHEIGHT to resize the picture to; default: the processor's own choice")
      ->needs(image);
  app.add_option("--rgb", options.rgb, "Picture as .npy, uint8 [height, width, 3], used as it is")
      ->excludes(image);
  app.add_option("--steps", options.steps, "Tokens to generate")
      ->check(CLI::Range(1, 999))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads; 0: all usable CPUs")
      ->capture_default_str();
  app.add_option("--dump", options.dump, "Folder for the stages as .npy files");
  app.add_flag("--detail", options.detail,
               "With --dump: also every vision block and decoder layer");
  const std::map<std::string, WeightFormat> formats{{"f32", WeightFormat::kF32},
                                                    {"f16", WeightFormat::kF16},
                                                    {"w8", WeightFormat::kW8},
                                                    {"w4", WeightFormat::kW4}};
  app.add_option("--weights", options.format,
                 "Round weights as a bundle of this kind holds them: f32, f16, w8 or w4")
      ->transform(CLI::CheckedTransformer(formats));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(qhx::StatusCode::kInvalidArgument);
  }
  const qhx::Status status = qhx::reference::run(options);
  if (!status.ok()) std::cerr << "qhx_reference: " << status << "\n";
  return static_cast<int>(status.code());
}
