#include "forge/bundle/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace qhx::forge {
namespace {

bool parse_number(std::string_view text, std::uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out > 0;
}

Status validate_name(std::string_view name) {
  const bool fine = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (fine && !name.starts_with('.') && name.size() <= 64) return {};
  return invalid_argument("--name \"" + std::string(name) +
                          "\": expected up to 64 letters, digits, '-', '_' and '.', not beginning "
                          "with '.'");
}

Status validate_image(ImageSize image, const hf::VisionConfig& vision) {
  const std::size_t unit = vision.patch_size * vision.spatial_merge_size;
  if (image.width % unit == 0 && image.height % unit == 0 && image.width > 0 && image.height > 0)
    return {};
  return invalid_argument("--image " + to_string(image) +
                          ": width and height must be multiples of " + std::to_string(unit) +
                          " (patch " + std::to_string(vision.patch_size) + " x merge " +
                          std::to_string(vision.spatial_merge_size) + " of this checkpoint)");
}

// Far above what any model was made for; keeps products of a few sizes inside 64 bits.
constexpr std::uint32_t kMostRows = 1u << 24;

Status validate_rows(std::string_view option, const std::vector<std::uint32_t>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == 0 || rows[i] > kMostRows || (i > 0 && rows[i] <= rows[i - 1])) {
      return invalid_argument(std::string(option) + " " + std::to_string(rows[i]) +
                              ": expected rising numbers from 1 to " + std::to_string(kMostRows));
    }
  }
  return {};
}

// Whether a prompt fits a context of `most` rows, with its picture if there is to be one.
Status validate_room(std::uint32_t most, const ForgeOptions& options,
                     const hf::ModelConfig& config) {
  std::uint64_t tokens = 0;
  std::string reason = ": ";
  if (options.pictures) {
    const PatchGrid grid = patch_grid(options, config);
    tokens = std::uint64_t{grid.rows} * grid.columns / config.vision.merge_unit();
    reason += "a picture of " + to_string(options.image) + " takes " + std::to_string(tokens) +
              " tokens, so ";
  }
  if (most >= tokens + kTextRows) return {};
  return invalid_argument("--ctx " + std::to_string(most) + reason + "at least " +
                          std::to_string(tokens + kTextRows) + " are needed; give more context" +
                          (options.pictures ? " or a smaller --image" : ""));
}

Status validate_context(const ForgeOptions& options, const hf::ModelConfig& config) {
  if (options.context_rows.empty()) return invalid_argument("--ctx: no number given");
  QHX_RETURN_IF_ERROR(validate_rows("--ctx", options.context_rows));
  QHX_RETURN_IF_ERROR(validate_rows("--prefill", options.prefill_rows));
  const std::uint32_t most = options.context_rows.back();
  QHX_RETURN_IF_ERROR(validate_room(most, options, config));
  if (most > config.text.max_position_embeddings) {
    return invalid_argument("--ctx " + std::to_string(most) + ": the model was made for at most " +
                            std::to_string(config.text.max_position_embeddings) + " positions");
  }
  if (!options.prefill_rows.empty() && options.prefill_rows.front() == 1)
    return invalid_argument("--prefill 1: a prefill call takes at least 2 tokens");
  if (!options.prefill_rows.empty() && options.prefill_rows.back() > most) {
    return invalid_argument("--prefill " + std::to_string(options.prefill_rows.back()) +
                            ": is more than --ctx " + std::to_string(most));
  }
  return {};
}

Status validate_calibration(const ForgeOptions& options) {
  if (options.budget && !rounds_weights(options))
    return invalid_argument("--weights auto: goes with --rounding compensated, which measures");
  if (options.keep_rounded && !rounds_weights(options)) {
    return invalid_argument(
        "--keep-rounded: is for --weights w4 with --rounding compensated; other weights follow "
        "from "
        "the checkpoint alone");
  }
  if (options.calibrate.empty() || rounds_weights(options) || tries_weights(options)) return {};
  if (options.target.activation != QNN_DATATYPE_FLOAT_16)
    return invalid_argument("--calibrate: activations of target " + options.target.name +
                            " are 32-bit floats, which need no measuring, and " +
                            std::string(name(options.weights)) +
                            " weights no compensating; leave it out");
  if (!options.measure) return invalid_argument("--calibrate and --no-calibrate: give one of them");
  return {};
}

}  // namespace

bool rounds_weights(const ForgeOptions& options) {
  return options.weights == WeightFormat::kW4 && options.rounding == Rounding::kCompensated;
}

bool tries_weights(const ForgeOptions& options) {
  return options.try_weights.value_or(rounds_weights(options));
}

Result<Target> parse_target(std::string_view name) {
  if (name == "cpu") return Target{.name = "cpu"};
  const std::string shown = "target " + std::string(name) + ": ";
  // Architectures and the chip that stands for each.
  struct Chip {
    std::uint32_t arch, soc_model;
  };
  for (const Chip chip : {Chip{73, 43}, Chip{75, 57}, Chip{79, 69}, Chip{81, 87}}) {
    const std::string arch = "v" + std::to_string(chip.arch);
    if (name == arch) return Target{arch, chip.arch, chip.soc_model, QNN_DATATYPE_FLOAT_16, {}};
  }
  return invalid_argument(shown + "unknown; expected cpu, v73, v75, v79 or v81");
}

Result<WeightFormat> parse_weight_format(std::string_view text) {
  const auto format = quant::parse_format(text);
  if (format && *format != WeightFormat::kF32) return *format;
  return invalid_argument("--weights " + std::string(text) + ": expected f16, w8, w4 or auto");
}

std::string_view name(Rounding rounding) {
  return rounding == Rounding::kNearest ? "nearest" : "compensated";
}

Result<Rounding> parse_rounding(std::string_view text) {
  for (const Rounding rounding : {Rounding::kNearest, Rounding::kCompensated}) {
    if (text == name(rounding)) return rounding;
  }
  return invalid_argument("--rounding " + std::string(text) + ": expected nearest or compensated");
}

Result<WeightBudget> parse_budget(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"GB", 1e9}, {"MB", 1e6}, {"B", 1}, {"bits", 0}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, bytes] : kUnits) {
    if (error != std::errc() || unit != name || !(number > 0) || !std::isfinite(number)) continue;
    return bytes == 0 ? WeightBudget{.bytes = 0, .bits = number}
                      : WeightBudget{.bytes = number * bytes, .bits = 0};
  }
  return invalid_argument("--budget " + std::string(text) +
                          ": expected bytes of the text weights like 1.2GB or 800MB, or bits a "
                          "weight like 5.0bits");
}

std::string to_string(const WeightBudget& budget) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g%s", budget.bits > 0 ? budget.bits : budget.bytes,
                budget.bits > 0 ? "bits" : "B");
  return text;
}

std::string_view weights_name(const ForgeOptions& options) {
  return options.budget ? "auto" : name(options.weights);
}

std::string_view name(KvFormat format) { return format == KvFormat::kInt8 ? "int8" : "f16"; }

Result<bool> parse_activations(std::string_view text) {
  if (text == "auto" || text == "f16") return text == "auto";
  return invalid_argument("--activations " + std::string(text) + ": expected auto or f16");
}

Result<KvFormat> parse_kv_format(std::string_view text) {
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kInt8}) {
    if (text == name(format)) return format;
  }
  return invalid_argument("--kv " + std::string(text) + ": expected f16 or int8");
}

Result<ImageSize> parse_image_size(std::string_view text) {
  constexpr std::uint32_t kMost = 1u << 14;
  ImageSize size;
  const auto cross = text.find('x');
  const bool fine = cross == std::string_view::npos
                        ? parse_number(text, size.width) && ((size.height = size.width), true)
                        : parse_number(text.substr(0, cross), size.width) &&
                              parse_number(text.substr(cross + 1), size.height);
  if (fine && size.width <= kMost && size.height <= kMost) return size;
  return invalid_argument("--image " + std::string(text) +
                          ": expected a side like 512, or width x height like 704x480, at most " +
                          std::to_string(kMost) + " each");
}

Result<std::vector<std::uint32_t>> parse_rows(std::string_view option, std::string_view text) {
  const std::string shown = std::string(option) + " " + std::string(text);
  std::vector<std::uint32_t> rows;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    std::uint32_t number = 0;
    if (!parse_number(rest.substr(0, comma), number) || number > kMostRows) {
      return invalid_argument(shown + ": expected numbers from 1 to " + std::to_string(kMostRows) +
                              ", separated by commas, like 512 or 512,1024");
    }
    rows.push_back(number);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  std::sort(rows.begin(), rows.end());
  const auto twice = std::adjacent_find(rows.begin(), rows.end());
  if (twice != rows.end())
    return invalid_argument(shown + ": " + std::to_string(*twice) + " is there twice");
  return rows;
}

std::string to_string(ImageSize size) {
  const std::string width = std::to_string(size.width);
  return size.width == size.height ? width : width + "x" + std::to_string(size.height);
}

Status validate(const ForgeOptions& options, const hf::ModelConfig& config) {
  if (options.pictures && !options.prefill)
    return invalid_argument("--prefill 0: pictures need a prefill graph; add --text-only");
  QHX_RETURN_IF_ERROR(validate_calibration(options));
  if (!options.target.htp.dlbc && !options.target.device())
    return invalid_argument("--no-dlbc: is for Hexagon targets");
  if (options.prove && !options.target.device())
    return invalid_argument("--prove: is for Hexagon targets; `qhx verify` proves CPU bundles");
  if (options.integers && !options.target.device())
    return invalid_argument("--activations auto: is for Hexagon targets; `qhx tune` is for cpu");
  if (options.integers && !options.measure)
    return invalid_argument("--activations auto: needs what --no-calibrate leaves out");
  if (options.integers && options.prove) {
    return invalid_argument(
        "--prove: its inputs are drawn and reach further than measured activations, where integers "
        "are cut off; prove with --activations f16");
  }
  if (options.kv == KvFormat::kInt8 && options.target.device()) {
    return unsupported("--kv int8: the cache of target " + options.target.name +
                       " is f16, int8 is for cpu alone so far; leave it out");
  }
  QHX_RETURN_IF_ERROR(validate_name(options.name));
  QHX_RETURN_IF_ERROR(validate_image(options.image, config.vision));
  return validate_context(options, config);
}

std::vector<std::uint32_t> prefill_rows(const ForgeOptions& options) {
  if (!options.prefill || !options.prefill_rows.empty()) return options.prefill_rows;
  std::vector<std::uint32_t> rows = {320};
  if (!options.target.device()) rows = {4, 16, 64, 320};
  for (std::uint32_t& count : rows) count = std::min(count, options.context_rows.back());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

std::uint32_t call_cost(const Target& target) {
  // Two cores measured 5; the more cores, the more of a call is waiting for memory.
  constexpr std::uint32_t kCpu = 8;
  // From published rates of Hexagon phones: 320 rows in 75 ms, a row with int8 weights in 30 ms.
  constexpr std::uint32_t kDevice = 100;
  return !target.device() ? kCpu : kDevice;
}

PatchGrid patch_grid(const ForgeOptions& options, const hf::ModelConfig& config) {
  const auto patch = static_cast<std::uint32_t>(config.vision.patch_size);
  return {options.image.height / patch, options.image.width / patch};
}

std::string model_name(const hf::ModelConfig& config) {
  double all = 0, text = 0;
  for (const hf::ExpectedTensor& tensor : hf::expected_tensors(config)) {
    double elements = 1;
    for (const std::size_t extent : tensor.shape) elements *= static_cast<double>(extent);
    all += elements;
    if (!tensor.name.starts_with("model.visual.")) text += elements;
  }
  const bool billions = all >= 0.5e9;
  const double rounded = std::max(1.0, std::round(billions ? text / 1e9 : all / 1e6));
  return "qwen3vl-" + std::to_string(static_cast<long>(rounded)) + (billions ? "b" : "m");
}

BundleNames::BundleNames(const std::string& model, const ForgeOptions& options)
    : tokenizer("tokenizer.json"),
      patch_embed("vis_patch_embed_f32.bin"),
      patch_embed_bias("vis_patch_embed_bias_f32.bin"),
      pos_embed("vis_pos_embed_f32.bin"),
      record("forge.json") {
  const std::string size = to_string(options.image);
  const auto either = [](const std::string& given, const std::string& usual) {
    return given.empty() ? usual : given;
  };
  vision = "vis_native_" + size + ".bin";
  llm = either(options.files.llm, "llm_shared_" + size + ".bin");
  llm_emulation = "llm_emulation_" + size + ".bin";
  lmhead = either(options.files.lmhead, "lmhead_wqo.bin");
  embed = either(options.files.embed, "embed_f16.bin");
  vlm_manifest = model + "-vlm-" + size + ".json";
  text_manifest = model + "-text-" + size + ".json";
}

}  // namespace qhx::forge
