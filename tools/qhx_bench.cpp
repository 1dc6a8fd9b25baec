// qhx bench: how fast a bundle runs here.
#include <memory>

#include "bench/bench.h"
#include "commands.h"
#include "program.h"
#include "run_options.h"

namespace qhx::tools {
namespace {

constexpr const char* kDescription =
    "Measures a bundle on this machine: load, vision, prefill, decode, time to first token, "
    "memory, and where the time goes.";
constexpr const char* kFooter =
    "The table goes to stdout. \"others\" is the CPU that other processes used meanwhile, in "
    "cores:\n"
    "figures taken with much more than 0.05 are no measure of the machine. Exit codes as of every\n"
    "command: 2 bad options, 3 a file or library is missing, 5 damaged files, 6 a library refuses\n"
    "the bundle, 7 it does not fit into memory.";

Status run(const bench::Options& options, bool json) {
  QHX_ASSIGN_OR_RETURN(const bench::Report report, bench::bench(options));
  const std::string text = json ? bench::to_json(report) + "\n" : bench::to_text(report);
  return print(text);
}

}  // namespace

void add_bench_command(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<bench::Options>();
  const auto path = std::make_shared<std::string>();
  const auto image = std::make_shared<std::string>();
  const auto warm_only = std::make_shared<bool>(false);
  const auto no_shares = std::make_shared<bool>(false);
  const auto json = std::make_shared<bool>(false);
  const auto quiet = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("bench", kDescription);
  command->footer(kFooter);
  command
      ->add_option("path", *path,
                   "A bundle's folder (its picture manifest is measured) or one of its manifests")
      ->required();
  command->add_option("--image", *image, "Picture of the picture turn (default: a drawn one)");
  command
      ->add_option("--prefill", options->prefill,
                   "Prompt lengths, separated by commas (default: 64,320 where they fit)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--fill", options->fills,
                   "Tokens in the cache when decoding starts (default: 16,512 where they fit)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--steps", options->steps, "Tokens decoded in a measurement (default: 16)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--repetitions", options->repetitions, "Measurements that count (default: 3)")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--warm-up", options->warm_up,
                   "Measurements before them that do not (default: 1)")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--warm-only", *warm_only,
                    "Leave the bundle in the page cache: no cold load is measured");
  command->add_flag("--no-shares", *no_shares, "Do not measure where the time goes");
  command->add_flag("--allow-arch-mismatch", options->allow_arch_mismatch,
                    "As of qhx_generate: run binaries of another chip");
  add_run_options(*command, *options, *json, *quiet);
  command->callback([=, &exit_code] {
    options->path = *path;
    options->image = *image;
    options->cpu_library = default_library();
    options->cold = !*warm_only;
    options->shares = !*no_shares;
    options->progress = !*json && !*quiet;
    exit_code = report_error(guarded([&] { return run(*options, *json); }));
  });
}

}  // namespace qhx::tools
