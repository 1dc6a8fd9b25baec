// qhx verify: the ladder of proof for a bundle.
#include <memory>

#include "commands.h"
#include "program.h"
#include "run_options.h"
#include "verify/verify.h"

namespace qhx::tools {
namespace {

constexpr const char* kDescription =
    "Proves that a bundle computes what its model does: stage by stage against the reference, or "
    "against verified.json.";
constexpr const char* kFooter =
    "The table goes to stdout. Exit codes: 0 all stages pass, 10 a stage is below its threshold "
    "or\n"
    "a token differs by more than 16-bit floats can blur, others as of every command: 2 bad\n"
    "options, 3 a file or library is missing, 5 damaged files, 6 a library refuses the bundle.";

// Not a StatusCode: the check was made, and this is its result.
constexpr int kNotVerified = 10;

Status run(const verify::Options& options, bool json, bool& passed) {
  QHX_ASSIGN_OR_RETURN(const verify::Report report, verify::verify(options));
  const std::string text = json ? verify::to_json(report) + "\n" : verify::to_text(report);
  QHX_RETURN_IF_ERROR(print(text));
  passed = report.ok();
  return {};
}

}  // namespace

void add_verify_command(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<verify::Options>();
  const auto path = std::make_shared<std::string>();
  const auto against = std::make_shared<std::string>();
  const auto image = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  const auto quiet = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("verify", kDescription);
  command->footer(kFooter);
  command
      ->add_option("path", *path,
                   "A bundle's folder (its picture manifest is verified) or one of its manifests")
      ->required();
  command->add_option(
      "--against", *against,
      "Hugging Face folder that the bundle was forged from; without, verified.json");
  command->add_option("--image", *image, "Picture to run (default: a drawn one)");
  command->add_option("--prompt", options->prompt, "The user's words");
  command
      ->add_option("--tokens", options->tokens,
                   "Tokens of the answer, fewer if it ends (default: 8)")
      ->check(CLI::Range(1, 999));
  command->add_option("--weights", options->weights,
                      "What the bundle's weights are, if there is no forge.json: w8 or f16");
  command->add_flag("--write", options->write, "If all pass, write verified.json into the bundle");
  add_run_options(*command, *options, *json, *quiet);
  command->callback([=, &exit_code] {
    options->path = *path;
    options->against = *against;
    options->image = *image;
    options->cpu_library = default_library();
    options->progress = !*json && !*quiet;
    bool passed = false;
    exit_code = report_error(guarded([&] { return run(*options, *json, passed); }));
    if (exit_code == 0 && !passed) exit_code = kNotVerified;
  });
}

}  // namespace qhx::tools
