// qhx forge: a bundle from a Hugging Face checkpoint.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "commands.h"
#include "forge/bundle/forge.h"
#include "forge/bundle/output_folder.h"
#include "program.h"

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

struct Arguments {
  std::string checkpoint, output, target = "cpu", weights = "w8", image = "512", name;
  std::string qnn_library, system_library;
  std::uint32_t context_rows = 2048, prefill_rows = 0;
  int threads = 0;
  bool force = false, json = false, quiet = false;
};

Result<forge::ForgeOptions> make_options(const Arguments& from) {
  forge::ForgeOptions to;
  to.checkpoint = from.checkpoint;
  to.output = from.output;
  QHX_ASSIGN_OR_RETURN(to.target, forge::parse_target(from.target));
  QHX_ASSIGN_OR_RETURN(to.weights, forge::parse_weight_format(from.weights));
  QHX_ASSIGN_OR_RETURN(to.image, forge::parse_image_size(from.image));
  to.context_rows = from.context_rows;
  to.prefill_rows = from.prefill_rows;
  to.name = from.name;
  to.force = from.force;
  to.threads = from.threads;
  to.qnn_library = from.qnn_library.empty() ? default_library() : from.qnn_library;
  to.system_library = from.system_library.empty() ? to.qnn_library : from.system_library;
  return to;
}

void print_json(const forge::ForgeReport& report, double seconds) {
  nlohmann::ordered_json json;
  json["bundle"] = report.bundle.string();
  json["model"] = report.model;
  json["manifests"] = report.manifests;
  json["bytes"] = report.bytes;
  json["seconds"] = seconds;
  for (const forge::StageTime& stage : report.stages) json["stages"][stage.name] = stage.seconds;
  json["peak_resident_bytes"] = report.peak_resident_bytes;
  // File names may be any bytes.
  std::puts(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_text(const forge::ForgeReport& report, double seconds) {
  std::printf("%s: %s, %.1f MB, made in %.1f s, peak memory %.0f MB\n", report.bundle.c_str(),
              report.model.c_str(), static_cast<double>(report.bytes) / 1e6, seconds,
              static_cast<double>(report.peak_resident_bytes) / 1e6);
  for (const std::string& manifest : report.manifests)
    std::printf("  %s\n", (report.bundle / manifest).c_str());
}

Status run(const Arguments& arguments) {
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
  arguments.json ? print_json(*report, seconds) : print_text(*report, seconds);
  return {};
}

}  // namespace

void add_forge_command(CLI::App& program, int& exit_code) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  CLI::App* command = program.add_subcommand("forge", kDescription);
  command->footer(kFooter);
  command
      ->add_option("checkpoint", a.checkpoint,
                   "Hugging Face folder: config.json, tokenizer.json, safetensors (one file or "
                   "shards; BF16, F16 or F32)")
      ->required();
  command->add_option("-o,--output", a.output, "Folder to make")->required();
  command->add_option("--target", a.target, "What to make it for: cpu")->capture_default_str();
  command->add_option("--weights", a.weights, "w8 (int8, one scale an output channel) or f16")
      ->capture_default_str();
  command
      ->add_option("--image", a.image,
                   "Picture size in pixels: a side, or WIDTHxHEIGHT; multiples of patch x merge "
                   "of the checkpoint (32)")
      ->capture_default_str();
  command->add_option("--ctx", a.context_rows, "Tokens of context (rows of the KV cache)")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str();
  command
      ->add_option("--prefill", a.prefill_rows,
                   "Prompt tokens of one prefill call (default: 320, or --ctx if that is less)")
      ->check(CLI::Range(1u, 1u << 16));
  command->add_option("--name", a.name, "Model name, begins the manifests' file names");
  command->add_flag("--force", a.force, "Replace a bundle that is there, once the new one is done");
  command->add_option("--qnn-lib", a.qnn_library,
                      "QNN backend library (default: libQhxCpu.so of this installation)");
  command->add_option("--system-lib", a.system_library,
                      "QNN system library (default: the same as --qnn-lib)");
  command->add_option("--threads", a.threads, "Threads (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", a.json, "Print the summary as JSON");
  command->add_flag("-q,--quiet", a.quiet, "No progress on stderr");
  command->callback([arguments, &exit_code] {
    exit_code = report_error(guarded([&] { return run(*arguments); }));
  });
}

}  // namespace qhx::tools
