// qhx profile: simulated times of a model's graphs on a device.
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/file.h"
#include "base/progress.h"
#include "commands.h"
#include "forge/bundle/presets.h"
#include "profile/profile.h"
#include "profile/scratch_folder.h"
#include "program.h"
#include "qnn/installed.h"

namespace qhx::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription =
    "Simulates a model's graphs on a Hexagon NPU and says where their time goes.";
constexpr const char* kFooter =
    "Graphs are built as qhx forge builds them and finalized by the vendor's x86 library, whose\n"
    "simulator tells when each part of the chip does what. These are no measured times: host, "
    "calls\n"
    "and heat are not in them. A finished bundle cannot be simulated, its graphs have been "
    "finalized.\n"
    "\n"
    "Exit codes are those of qhx forge.";

struct Arguments {
  std::string checkpoint, html, traces, qnn_library, system_library, preset = "v79-vlm-512";
  std::vector<std::string> targets, stages, diff;
  std::optional<std::string> weights, activations, image, context_rows, prefill_rows;
  std::int32_t corner = 9;
  std::uint32_t layers = 0, finalize_timeout = 0;
  std::size_t rows = 8;
  double memory_gb = 16;
  int threads = 0;
  bool config_only = false, no_dlbc = false, json = false, quiet = false;
};

Result<std::vector<profile::Stage>> parse_stages(const std::vector<std::string>& names) {
  using profile::Stage;
  std::vector<Stage> stages;
  for (const std::string& text : names) {
    if (text == "text") {
      stages.insert(stages.end(), {Stage::kPrefill, Stage::kDecode});
      continue;
    }
    QHX_ASSIGN_OR_RETURN(const Stage stage,
                         profile::parse_stage(text).with_context("--stage (or text)"));
    stages.push_back(stage);
  }
  if (stages.empty()) stages = {Stage::kVision, Stage::kPrefill, Stage::kDecode, Stage::kHead};
  return stages;
}

// A bundle is a natural thing to give, so it is recognised.
Status check_checkpoint(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "config.json", error)) return {};
  const bool bundle = folder.extension() == ".json" || fs::exists(folder / "forge.json", error);
  if (bundle) {
    return unsupported(folder.string() +
                       ": is a bundle; its graphs have been finalized, and only then can the "
                       "library simulate them. Give the Hugging Face folder that it was made of");
  }
  return not_found(folder.string() + ": has no config.json; a Hugging Face folder is needed");
}

Status set_sizes(const Arguments& from, forge::ForgeOptions& to) {
  if (from.weights) {
    QHX_ASSIGN_OR_RETURN(to.weights, forge::parse_weight_format(*from.weights));
  }
  to.rounding = forge::Rounding::kNearest;  // times do not depend on values
  if (from.image) {
    QHX_ASSIGN_OR_RETURN(to.image, forge::parse_image_size(*from.image));
  }
  if (from.context_rows) {
    QHX_ASSIGN_OR_RETURN(to.context_rows, forge::parse_rows("--context", *from.context_rows));
  }
  if (from.prefill_rows) {
    QHX_ASSIGN_OR_RETURN(to.prefill_rows, forge::parse_rows("--prefill", *from.prefill_rows));
    to.prefill = true;
  }
  return {};
}

Result<profile::Options> make_options(const Arguments& from) {
  if (from.checkpoint.empty())
    return invalid_argument("checkpoint: no folder given; see qhx profile --help");
  QHX_RETURN_IF_ERROR(check_checkpoint(from.checkpoint));
  profile::Options to;
  to.forge.checkpoint = from.checkpoint;
  QHX_RETURN_IF_ERROR(forge::apply_preset(from.preset, to.forge));
  if (from.activations) {
    QHX_ASSIGN_OR_RETURN(to.forge.integers, forge::parse_activations(*from.activations));
  }
  QHX_RETURN_IF_ERROR(set_sizes(from, to.forge));
  QHX_ASSIGN_OR_RETURN(to.stages, parse_stages(from.stages));
  if (from.no_dlbc) to.forge.target.htp.dlbc = false;
  to.forge.threads = from.threads;
  to.forge.memory_limit = static_cast<std::uint64_t>(from.memory_gb * 1e9);
  to.forge.finalize_timeout = from.finalize_timeout;
  to.forge.worker_program = this_program();
  to.forge.judge_library = default_library();
  QHX_ASSIGN_OR_RETURN(
      qnn::InstalledLibraries libraries,
      qnn::complete_libraries({from.qnn_library, from.system_library}, true, default_library()));
  to.forge.qnn_library = std::move(libraries.backend);
  to.forge.system_library = std::move(libraries.system);
  to.targets = from.targets.empty() ? std::vector{to.forge.target.name} : from.targets;
  to.corner = from.corner;
  to.layers = from.layers;
  to.draw_weights = from.config_only;
  to.traces = from.traces;
  return to;
}

Result<profile::Report> load_report(const std::string& file) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(file));
  auto report = profile::parse_json(text);
  if (!report.ok()) return report.status().with_context(file);
  return report;
}

Status show_diff(const Arguments& arguments) {
  QHX_ASSIGN_OR_RETURN(const profile::Report before, load_report(arguments.diff[0]));
  QHX_ASSIGN_OR_RETURN(const profile::Report after, load_report(arguments.diff[1]));
  return print(profile::print_diff(before, after, arguments.rows));
}

Status show(const Arguments& arguments, const profile::Report& report) {
  if (!arguments.html.empty())
    QHX_RETURN_IF_ERROR(write_file(arguments.html, profile::print_html(report)));
  if (!arguments.json) return print(profile::print_text(report, arguments.rows));
  return print(
      profile::print_json(report).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) +
      "\n");
}

Status run(const Arguments& arguments) {
  if (!arguments.diff.empty()) return show_diff(arguments);
  const StopSignal stop(profile::ScratchFolder::remove_all);
  QHX_ASSIGN_OR_RETURN(profile::Options options, make_options(arguments));
  std::optional<ProgressLine> line;
  if (!arguments.quiet) line.emplace(stderr);
  options.progress = [&](std::size_t done, std::size_t of, const std::string& graph) -> Status {
    if (stop.requested().load()) return cancelled("stopped on request");
    if (line) line->update(static_cast<double>(done) / static_cast<double>(of), graph);
    return {};
  };
  const auto report = profile::profile(options);
  line.reset();
  if (!report.ok()) return report.status();
  QHX_RETURN_IF_ERROR(show(arguments, *report));
  return report->failures.empty() ? Status() : report->failures.front().status;
}

}  // namespace

void add_profile_command(CLI::App& program, int& exit_code) {
  const auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  CLI::App* command = program.add_subcommand("profile", kDescription);
  command->footer(kFooter);
  command->add_option("checkpoint", a.checkpoint, "Hugging Face folder: config.json, safetensors");
  command->add_option("--preset", a.preset, "Sizes and formats of a published bundle")
      ->capture_default_str();
  command
      ->add_option("--soc", a.targets,
                   "Architectures to simulate: v73 (SM8550), v75 (SM8650), v79 (SM8750), v81 "
                   "(SM8850). Default: the preset's")
      ->delimiter(',');
  command
      ->add_option("--stage", a.stages,
                   "What to simulate: vision, prefill, decode, text (both), lmhead. Default: "
                   "all")
      ->delimiter(',');
  command->add_option("--weights", a.weights, "w8, f16 or w4");
  command->add_option("--activations", a.activations,
                      "f16 (default), or auto: 16-bit integers wherever qhx forge may use them");
  command->add_option("--context", a.context_rows,
                      "Rows of the KV cache, or several like 512,1024");
  command->add_option("--prefill", a.prefill_rows,
                      "Tokens of a prefill call, or several like 8,32,320");
  command->add_option("--image", a.image, "Picture size in pixels: a side, or WIDTHxHEIGHT");
  command->add_option("--layers", a.layers,
                      "Only the first so many layers of encoder and decoder: seconds instead of "
                      "minutes; times of the model are then grown in proportion");
  command->add_option("--corner", a.corner, "Voltage corner of cores and memory, 1 to 9 (fastest)")
      ->check(CLI::Range(1, 9))
      ->capture_default_str();
  command->add_flag("--config-only", a.config_only,
                    "The folder has config.json alone: draw the weights");
  command->add_flag("--no-dlbc", a.no_dlbc, "Do not compress activations that leave VTCM");
  command->add_option("--rows", a.rows, "Rows of each table; 0: times of the graphs alone")
      ->capture_default_str();
  command->add_option("--traces", a.traces,
                      "Keep the simulator's traces in this folder; ui.perfetto.dev shows them");
  command->add_option("--qnn-lib", a.qnn_library, "QNN backend library, as for qhx forge");
  command->add_option("--system-lib", a.system_library, "QNN system library, as for qhx forge");
  command->add_option("--memory", a.memory_gb, "GB of memory that the vendor's library may use")
      ->check(CLI::Range(0.5, 4096.0))
      ->capture_default_str();
  command->add_option("--finalize-timeout", a.finalize_timeout,
                      "Seconds after which a graph is given up (default: by the size of the "
                      "model)");
  command->add_option("--threads", a.threads, "Threads (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--json", a.json, "Print the report as JSON");
  command->add_option("--html", a.html,
                      "Also write the report to this file, with a timeline of each graph");
  command->add_option("--diff", a.diff, "Compare two reports that --json printed, and end")
      ->expected(2)
      ->type_name("BEFORE AFTER");
  command->add_flag("-q,--quiet", a.quiet, "No progress on stderr");
  command->callback([arguments, &exit_code] {
    exit_code = report_error(guarded([&] { return run(*arguments); }));
  });
}

}  // namespace qhx::tools
