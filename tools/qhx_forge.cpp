// qhx forge: a bundle from a Hugging Face checkpoint.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "commands.h"
#include "forge/bundle/context_worker.h"
#include "forge/bundle/forge.h"
#include "forge/bundle/output_folder.h"
#include "forge/bundle/presets.h"
#include "forge/bundle/record.h"
#include "get_qnn.h"
#include "program.h"
#include "qnn/installed.h"
#include "tune/tune.h"

namespace qhx::tools {
namespace {

constexpr const char* kDescription =
    "Makes a bundle from a Hugging Face checkpoint of the Qwen3-VL family.";
constexpr const char* kFooter =
    "The bundle holds the vision encoder, prefill and decode over one set of weights, the "
    "lm-head,\n"
    "the embedding table, the tokenizer and two manifests: NAME-vlm-SIZE.json (pictures and text)\n"
    "and NAME-text-SIZE.json (text alone). Unless --name is given, NAME is qwen3vl-<n>b, n being "
    "the\n"
    "text model's parameters in billions, rounded (qwen3vl-<n>m, in millions, below half a "
    "billion).\n"
    "\n"
    "The output folder appears complete or not at all. Exit codes: 0 success, 2 bad options,\n"
    "3 something is missing, 4 input/output, 5 damaged or contradicting files, 6 not supported,\n"
    "7 a weight does not fit the format, 8 the QNN library failed, 9 stopped by a signal.";

// What is not given stays as the preset, or without one the default, has it.
struct Arguments {
  std::string checkpoint, output, name, calibrate, qnn_library, system_library;
  std::optional<std::string> preset, target, weights, activations, rounding, budget, kv, image,
      context_rows, prefill_rows;
  double memory_gb = 16;
  std::uint32_t finalize_timeout = 0;
  int threads = 0;
  bool text_only = false, emulation_twin = false, no_calibrate = false, prove = false,
       no_dlbc = false, keep_rounded = false, quality = false, no_quality = false, no_tune = false,
       get_qnn = false;
  bool force = false, json = false, quiet = false;
};

std::string preset_help() {
  std::string text = "A published bundle by name; other options change what they say:";
  for (const forge::Preset& preset : forge::presets()) text += std::string(" ") + preset.name;
  return text;
}

Status set_weights(const Arguments& from, forge::ForgeOptions& to) {
  const bool automatic = from.weights == "auto";
  if (automatic != from.budget.has_value())
    return invalid_argument("--weights auto and --budget: each needs the other");
  if (automatic) {
    to.weights = forge::WeightFormat::kW4;
    QHX_ASSIGN_OR_RETURN(to.budget, forge::parse_budget(*from.budget));
  } else if (from.weights) {
    QHX_ASSIGN_OR_RETURN(to.weights, forge::parse_weight_format(*from.weights));
  }
  if (from.rounding) {
    QHX_ASSIGN_OR_RETURN(to.rounding, forge::parse_rounding(*from.rounding));
  }
  to.keep_rounded = from.keep_rounded;
  if (from.quality || from.no_quality) to.try_weights = from.quality;
  return {};
}

Result<forge::ForgeOptions> make_options(const Arguments& from) {
  forge::ForgeOptions to;
  if (from.checkpoint.empty()) return invalid_argument("checkpoint: no folder given");
  if (from.output.empty()) return invalid_argument("--output: no folder given");
  to.checkpoint = from.checkpoint;
  to.output = from.output;
  QHX_ASSIGN_OR_RETURN(to.target, forge::parse_target("cpu"));
  if (from.preset) QHX_RETURN_IF_ERROR(forge::apply_preset(*from.preset, to));
  if (from.target) {
    QHX_ASSIGN_OR_RETURN(to.target, forge::parse_target(*from.target));
  }
  QHX_RETURN_IF_ERROR(set_weights(from, to));
  if (from.kv) {
    QHX_ASSIGN_OR_RETURN(to.kv, forge::parse_kv_format(*from.kv));
  }
  if (from.image) {
    QHX_ASSIGN_OR_RETURN(to.image, forge::parse_image_size(*from.image));
  }
  if (from.context_rows) {
    QHX_ASSIGN_OR_RETURN(to.context_rows, forge::parse_rows("--ctx", *from.context_rows));
  }
  if (from.prefill_rows) {
    to.prefill = *from.prefill_rows != "0";
    to.prefill_rows.clear();
    if (to.prefill) {
      QHX_ASSIGN_OR_RETURN(to.prefill_rows, forge::parse_rows("--prefill", *from.prefill_rows));
    }
  }
  if (from.text_only) to.pictures = false;
  to.emulation_twin = from.emulation_twin;
  to.prove = from.prove;
  if (from.no_dlbc) to.target.htp.dlbc = false;
  to.judge_library = default_library();
  to.measure = !from.no_calibrate;
  if (from.activations) {
    QHX_ASSIGN_OR_RETURN(to.integers, forge::parse_activations(*from.activations));
  }
  to.calibrate = from.calibrate;
  to.name = from.name;
  to.force = from.force;
  to.threads = from.threads;
  to.memory_limit = static_cast<std::uint64_t>(from.memory_gb * 1e9);
  to.finalize_timeout = from.finalize_timeout;
  to.worker_program = this_program();
  QHX_ASSIGN_OR_RETURN(qnn::InstalledLibraries libraries,
                       qnn::complete_libraries({from.qnn_library, from.system_library},
                                               to.target.device(), default_library()));
  to.qnn_library = std::move(libraries.backend);
  to.system_library = std::move(libraries.system);
  return to;
}

// How few bits the activations of what was made need. A bundle is good without: what goes wrong is
// a warning.
tune::Report tune_bundle(const forge::ForgeOptions& options, forge::ForgeReport& report,
                         bool quiet) {
  auto tuned = tune::tune({.path = report.bundle,
                           .backend_library = options.qnn_library,
                           .system_library = options.system_library,
                           .progress = !quiet,
                           .threads = options.threads});
  if (tuned.ok()) return std::move(tuned).value();
  report.warnings.push_back("the bits that activations need were not measured, they have 16: " +
                            tuned.status().message());
  return {};
}

void print_json(const forge::ForgeReport& report, const tune::Report& tuned, double seconds) {
  nlohmann::ordered_json json;
  json["bundle"] = report.bundle.string();
  json["model"] = report.model;
  json["manifests"] = report.manifests;
  json["bytes"] = report.bytes;
  json["seconds"] = seconds;
  for (const forge::StageTime& stage : report.stages)
    json["stages"].push_back(forge::describe_stage(stage));
  json["peak_resident_bytes"] = report.peak_resident_bytes;
  if (!report.quality.is_null()) json["quality"] = report.quality;
  for (const tune::Choice& choice : tuned.choices) json["activations"][choice.role] = choice.name();
  json["warnings"] = report.warnings;
  // File names may be any bytes.
  std::puts(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_text(const forge::ForgeReport& report, const tune::Report& tuned, double seconds) {
  std::printf("%s: %s, %.1f MB, made in %.1f s, peak memory %.0f MB\n", report.bundle.c_str(),
              report.model.c_str(), static_cast<double>(report.bytes) / 1e6, seconds,
              static_cast<double>(report.peak_resident_bytes) / 1e6);
  for (const std::string& manifest : report.manifests)
    std::printf("  %s\n", (report.bundle / manifest).c_str());
  for (const tune::Choice& choice : tuned.choices)
    std::printf("  activations of %s: %s\n", choice.role.c_str(), choice.name().c_str());
}

Status run(const Arguments& arguments) {
  if (arguments.get_qnn) return install_htp_libraries(arguments.quiet);
  const StopSignal stop(forge::OutputFolder::remove_unfinished);
  QHX_ASSIGN_OR_RETURN(const forge::ForgeOptions options, make_options(arguments));
  std::optional<ProgressLine> line;
  if (!arguments.quiet) line.emplace(stderr);
  auto report = forge::forge_bundle(
      options,
      [&line](double fraction, std::string_view stage) {
        if (line) line->update(fraction, stage);
      },
      &stop.requested());
  line.reset();
  if (!report.ok()) return report.status();
  double seconds = 0;
  for (const forge::StageTime& stage : report->stages) seconds += stage.seconds;
  tune::Report tuned;
  if (!arguments.no_tune && !options.target.device())
    tuned = tune_bundle(options, *report, arguments.quiet);
  for (const std::string& warning : report->warnings)
    std::fprintf(stderr, "qhx: warning: %s\n", warning.c_str());
  arguments.json ? print_json(*report, tuned, seconds) : print_text(*report, tuned, seconds);
  return {};
}

}  // namespace

void add_forge_command(CLI::App& program, int& exit_code) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  CLI::App* command = program.add_subcommand("forge", kDescription);
  command->footer(kFooter);
  command->add_option("checkpoint", a.checkpoint,
                      "Hugging Face folder: config.json, tokenizer.json, safetensors (one file or "
                      "shards; BF16, F16 or F32)");
  command->add_option("-o,--output", a.output, "Folder to make");
  command->add_option("--preset", a.preset, preset_help());
  command->add_option(
      "--target", a.target,
      "What to make it for: cpu (default), or a Hexagon architecture: v73 (SM8550), "
      "v75 (SM8650), v79 (SM8750), v81 (SM8850)");
  command->add_option(
      "--weights", a.weights,
      "w8 (default: int8, one scale an output channel), f16, w4 (text decoder and lm-head in "
      "4 bits, groups of 32; the rest as w8), or auto with --budget");
  command->add_option("--budget", a.budget,
                      "With --weights auto: room for the weights of text decoder and lm-head, like "
                      "1.2GB or 5.0bits (a weight); those whose 4-bit errors are worst have int8");
  command->add_option("--rounding", a.rounding,
                      "How weights become 4-bit integers: compensated (default: the errors of some "
                      "make up for those of others, measured with --calibrate's pictures and "
                      "prompts or built-in ones; minutes) or nearest");
  auto* quality = command->add_flag(
      "--quality", a.quality,
      "Compare the logits of the bundle's weights with those of the model in 32-bit floats, on "
      "prompts that were not used for rounding: quality.json. Default with compensated weights");
  command->add_flag("--no-quality", a.no_quality, "Do not, and save minutes")->excludes(quality);
  command->add_flag("--no-tune", a.no_tune,
                    "CPU bundles: do not measure how few bits activations need (qhx tune), and "
                    "save a minute: they have 16");
  command->add_flag("--keep-rounded", a.keep_rounded,
                    "With --rounding compensated: leave the 4-bit weights in the bundle as a file "
                    "of their own, so that qhx verify can compare with exactly these");
  command->add_option("--kv", a.kv,
                      "What the KV cache holds: f16 (default), or for cpu int8: half the memory, a "
                      "scale for each token and head");
  command->add_option("--image", a.image,
                      "Picture size in pixels: a side, or WIDTHxHEIGHT; multiples of patch x merge "
                      "of the checkpoint (32). Default: 512");
  command->add_option(
      "--ctx", a.context_rows,
      "Tokens of context (rows of the KV cache), or several like 512,1024,2048: each has graphs of "
      "its own over the same weights, and the smallest that fits is run. Default: 2048");
  command->add_option(
      "--prefill", a.prefill_rows,
      "Prompt tokens of one prefill call, or several like 64,320: a prompt is cut "
      "into those that cost least (default: 320, for cpu 16,64,320, as far as --ctx "
      "reaches); 0: no prefill graph, prompts go through decode");
  command->add_flag("--text-only", a.text_only, "No vision encoder and no manifest for pictures");
  command->add_option("--name", a.name, "Model name, begins the manifests' file names");
  command->add_flag("--force", a.force, "Replace a bundle that is there, once the new one is done");
  command->add_flag("--emulation-twin", a.emulation_twin,
                    "Hexagon targets: also write the text decoder in a form that the vendor's x86 "
                    "library can load, to run the bundle on this PC");
  command->add_option("--activations", a.activations,
                      "Hexagon targets: f16 (default), or auto: 16-bit integers in MLPs and in the "
                      "linear after attention, where the weights are int8 and the measured "
                      "activations bear it; faster, and cut off at 8 times what was measured");
  command->add_option(
      "--calibrate", a.calibrate,
      "Hexagon targets and 4-bit weights: folder of your pictures and prompts (.txt) to measure "
      "activations on, so that 16-bit floats hold them and roundings make up for each other "
      "(default: a built-in picture and texts)");
  command->add_flag("--no-calibrate", a.no_calibrate,
                    "Hexagon targets: do not measure activations; saves minutes");
  command->add_flag("--prove", a.prove,
                    "Hexagon targets: before a binary is written, run its graphs once in the "
                    "vendor's x86 emulation and compare them with the CPU library's; seconds for "
                    "small models, hours for large ones");
  command->add_flag("--no-dlbc", a.no_dlbc,
                    "Hexagon targets: do not compress activations that leave VTCM; the emulation "
                    "of library 2.51 loses precision in some of them");
  command->add_option(
      "--qnn-lib", a.qnn_library,
      "QNN backend library (default: libQhxCpu.so of this installation; for Hexagon "
      "targets the vendor's, looked for in $QHX_QNN_DIR, $QNN_SDK_ROOT and the "
      "Python environment)");
  command->add_option("--system-lib", a.system_library,
                      "QNN system library (default: the one that belongs to --qnn-lib)");
  command->add_flag(
      "--get-qnn", a.get_qnn,
      "Install the vendor's library for Hexagon targets from PyPI, under its licence, "
      "and end");
  command
      ->add_option("--memory", a.memory_gb,
                   "Hexagon targets: GB of memory that the vendor's library may use")
      ->check(CLI::Range(0.5, 4096.0))
      ->capture_default_str();
  command->add_option(
      "--finalize-timeout", a.finalize_timeout,
      "Hexagon targets: seconds after which a graph that does not get ready is given "
      "up (default: by the size of the model)");
  command->add_option("--threads", a.threads, "Threads (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", a.json, "Print the summary as JSON");
  command->add_flag("-q,--quiet", a.quiet, "No progress on stderr");
  command->callback([arguments, &exit_code] {
    exit_code = report_error(guarded([&] { return run(*arguments); }));
  });
}

void add_forge_worker_command(CLI::App& program, int& exit_code) {
  const auto arguments = std::make_shared<forge::WorkerArguments>();
  CLI::App* command = program.add_subcommand(forge::kWorkerCommand);
  command->group("");  // not for people
  command->add_option("job", arguments->job)->required();
  command->add_option("checkpoint", arguments->checkpoint)->required();
  command->add_option("library", arguments->library)->required();
  command->add_option("system_library", arguments->system_library)->required();
  command->add_option("judge_library", arguments->judge_library)->required();
  command->add_option("file", arguments->file)->required();
  command->callback([arguments, &exit_code] { exit_code = forge::run_context_worker(*arguments); });
}

}  // namespace qhx::tools
