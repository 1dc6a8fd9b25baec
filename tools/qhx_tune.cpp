// qhx tune: how few bits a bundle's activations need.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "program.h"
#include "run_options.h"
#include "tune/tune.h"

namespace qhx::tools {
namespace {

constexpr const char* kDescription =
    "Finds how few bits the activations of a CPU bundle need, and writes it into its manifests.";
constexpr const char* kFooter =
    "Linears with int8 or 4-bit weights multiply activations of 16 bits, or twice as fast of 8. A\n"
    "stage gets the fewest that keep its outputs within a cosine of 0.9999 of those with 16, on\n"
    "drawn pictures and built-in texts. qhx forge does this for the bundles it makes.\n"
    "\n"
    "Exit codes: 0 success, 2 bad options, 3 a file or library is missing, 4 input/output,\n"
    "5 damaged files, 6 the bundle is for a device, 7 it does not fit into memory.";

Status run(const tune::Options& options, bool json) {
  QHX_ASSIGN_OR_RETURN(const tune::Report report, tune::tune(options));
  return print(json ? tune::to_json(report) : tune::to_text(report));
}

}  // namespace

void add_tune_command(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<tune::Options>();
  const auto path = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  const auto quiet = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("tune", kDescription);
  command->footer(kFooter);
  command->add_option("path", *path, "A bundle's folder, or one of its manifests")->required();
  command->add_flag("--dry-run", options->dry_run, "Measure, and leave the manifests as they are");
  add_run_options(*command, *options, *json, *quiet);
  command->callback([=, &exit_code] {
    options->path = *path;
    options->cpu_library = default_library();
    options->progress = !*json && !*quiet;
    exit_code = report_error(guarded([&] { return run(*options, *json); }));
  });
}

}  // namespace qhx::tools
