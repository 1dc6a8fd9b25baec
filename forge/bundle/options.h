// What a bundle is made for and of: the options of `qhx forge`, their rules, and the names that
// follow from them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "forge/arch/text_decoder.h"
#include "forge/arch/vision_encoder.h"
#include "forge/arch/weights.h"
#include "forge/hf/config.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

// What graphs are built for.
struct Target {
  std::string name;             // "cpu", "v79" …; also the manifest's dsp_arch
  std::uint32_t dsp_arch = 0;   // 79 …; 0: none
  std::uint32_t soc_model = 0;  // 0: none
  // For a device: binaries are made by the vendor's library, each in a process of its own.
  bool device() const { return soc_model != 0; }
  Qnn_DataType_t activation = QNN_DATATYPE_FLOAT_32;
  qnn::HtpGraphOptions htp;  // HTP libraries only
};
// kUnsupported for a target that this build cannot make bundles for.
Result<Target> parse_target(std::string_view name);

Result<WeightFormat> parse_weight_format(std::string_view text);

// "f16", "int8".
Result<KvFormat> parse_kv_format(std::string_view text);
std::string_view name(KvFormat format);

// "auto": true, "f16": false.
Result<bool> parse_activations(std::string_view text);

// How weights become 4-bit integers.
enum class Rounding {
  kNearest,
  kCompensated,  // the errors of some make up for those of others, measured on a calibration set
};
// "nearest", "compensated".
std::string_view name(Rounding rounding);
Result<Rounding> parse_rounding(std::string_view text);

// Room for the weights of the text decoder and the lm-head together; one of the two.
struct WeightBudget {
  double bytes = 0;
  double bits = 0;  // a weight
  bool operator==(const WeightBudget&) const = default;
};
// "1.2GB", "800MB" (powers of ten) or "5.0bits".
Result<WeightBudget> parse_budget(std::string_view text);
std::string to_string(const WeightBudget& budget);  // "5bits", "1200000000B"

// Size of the pictures that the vision graph takes, in pixels.
struct ImageSize {
  std::uint32_t width = 512, height = 512;
  bool operator==(const ImageSize&) const = default;
};
// "512" (a square) or "704x480" (width x height).
Result<ImageSize> parse_image_size(std::string_view text);
std::string to_string(ImageSize size);  // the same spelling

// Names that differ from the usual ones; empty: they do not.
struct FileNames {
  std::string llm, lmhead, embed;
};

// Counts of rows, rising: "512" or "512,1024,2048" in any order. `option` begins the message.
Result<std::vector<std::uint32_t>> parse_rows(std::string_view option, std::string_view text);

struct ForgeOptions {
  std::filesystem::path checkpoint;  // Hugging Face folder
  std::filesystem::path output;      // folder to make
  Target target;
  WeightFormat weights = WeightFormat::kW8;
  KvFormat kv = KvFormat::kF16;
  Rounding rounding = Rounding::kCompensated;  // of 4-bit weights
  // With 4-bit weights: some have int8 instead, as far as there is room, chosen by their errors.
  std::optional<WeightBudget> budget;
  // Compare logits with those of the float model: quality.json. Not given: if weights are rounded.
  std::optional<bool> try_weights;
  bool keep_rounded = false;  // leave what it came to in the bundle, for `qhx verify`
  ImageSize image;
  // Rows of the KV cache and of one prefill call, both rising. Each context has a decode graph, and
  // a prefill graph for each length of call.
  std::vector<std::uint32_t> context_rows = {2048};
  std::vector<std::uint32_t> prefill_rows;  // empty: the default, see prefill_rows()
  bool prefill = true;                      // prefill graphs; without, prompts go through decode
  bool pictures = true;         // a vision encoder, and a manifest for pictures and text
  bool emulation_twin = false;  // also files that the emulation on a PC can load
  FileNames files;
  // Targets with 16-bit activations: hold them as integers where measured ones bear it and the
  // library multiplies these by int8 weights.
  bool integers = false;
  bool measure = true;  // targets with 16-bit activations: measure them first
  // Folder of the pictures and prompts that activations are measured on, and errors of weights
  // compensated; what it lacks comes from the built-in set.
  std::filesystem::path calibrate;
  std::string name;            // of the model; empty: derived from its size
  bool force = false;          // replace a bundle that is there
  std::string qnn_library;     // path of the backend library
  std::string system_library;  // path of the library that reads binaries' metadata
  int threads = 0;             // 0: as many as the process may use
  // Device targets: the program that run_context_worker() is the "forge-context" command of, and
  // what a worker may use.
  std::string worker_program;
  std::uint64_t memory_limit = 16'000'000'000;  // bytes, resident
  std::uint32_t finalize_timeout = 0;           // seconds; 0: by the size of the model
  // Device targets: run every graph once before its binary is written, and compare it with that of
  // the library `judge_library`, our CPU library.
  bool prove = false;
  std::string judge_library;
};

// Context rows that must be left for text next to one picture.
inline constexpr std::uint32_t kTextRows = 32;

// "f16", "w8", "w4", or "auto" with a budget.
std::string_view weights_name(const ForgeOptions& options);
// Whether weights are rounded by what their inputs are, before graphs are built.
bool rounds_weights(const ForgeOptions& options);

// Whether what they came to is tried on prompts that were not used for it.
bool tries_weights(const ForgeOptions& options);

// Everything that can be said against the options once the checkpoint's configuration is known.
Status validate(const ForgeOptions& options, const hf::ModelConfig& config);

// What was asked for, or the default, cut to the context: 4, 16, 64 and 320 for CPUs, where a short
// call costs little more than its rows and 4 rows little more than one, 320 for devices.
std::vector<std::uint32_t> prefill_rows(const ForgeOptions& options);
// What a decoder call costs besides its rows, in rows: the manifest's call_cost.
std::uint32_t call_cost(const Target& target);
PatchGrid patch_grid(const ForgeOptions& options, const hf::ModelConfig& config);

// "qwen3vl-2b": the text model's parameters in billions, rounded, which is how the family's sizes
// are called. A model of less than half a billion parameters is named by all of them, in millions:
// "qwen3vl-4m".
std::string model_name(const hf::ModelConfig& config);

// File names inside the bundle.
struct BundleNames {
  BundleNames(const std::string& model, const ForgeOptions& options);
  std::string vision, llm, llm_emulation, lmhead, embed, tokenizer, patch_embed, patch_embed_bias,
      pos_embed;
  std::string vlm_manifest, text_manifest, record;
};

}  // namespace qhx::forge
