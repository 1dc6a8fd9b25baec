// qhx inspect: what is inside a bundle or a context binary.
#include <memory>

#include "commands.h"
#include "inspect/report.h"
#include "program.h"

namespace qhx::tools {
namespace {

constexpr const char* kDescription =
    "Shows what is inside a bundle or a context binary: manifests, files, graphs, tensors, chip, "
    "memory.";
constexpr const char* kFooter =
    "The report goes to stdout; what is wrong with the bundle follows as one line on stderr and "
    "is\n"
    "the exit code: 0 nothing, 2 bad options, 3 a file or library is missing, 4 input/output,\n"
    "5 damaged or contradicting files, 6 the library given with --lib refuses a binary.";

Status run(const inspect::Options& options, bool json) {
  QHX_ASSIGN_OR_RETURN(const inspect::Report report, inspect::collect(options));
  const std::string text = json ? inspect::to_json(report) + "\n" : inspect::to_text(report);
  QHX_RETURN_IF_ERROR(print(text));
  return inspect::verdict(report);
}

}  // namespace

void add_inspect_command(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<inspect::Options>();
  const auto path = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("inspect", kDescription);
  command->footer(kFooter);
  command->add_option("path", *path, "A bundle's folder, one of its manifests, or a context binary")
      ->required();
  command->add_option("--lib", options->backend_library,
                      "QNN backend library: tells whether it would take the binaries");
  command->add_option("--system", options->system_library,
                      "QNN system library that reads the binaries (default: libQhxCpu.so of this "
                      "installation for its own, the one beside --lib or the vendor's installed "
                      "one for others)");
  command->add_flag("--check", options->check,
                    "Read every file and compare its sha256 with the manifests'");
  command->add_flag("--json", *json, "Print the report as JSON");
  command->callback([options, path, json, &exit_code] {
    options->path = *path;
    options->cpu_library = default_library();
    exit_code = report_error(guarded([&] { return run(*options, *json); }));
  });
}

}  // namespace qhx::tools
