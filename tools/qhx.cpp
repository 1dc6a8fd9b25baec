// qhx: makes, checks and runs bundles. Every subcommand is in a file of its own.
#include <CLI/CLI.hpp>

#include "base/status.h"
#include "commands.h"

int main(int argc, char** argv) {
  CLI::App program("QHexRT tools: bundles of Qwen3-VL models.");
  program.set_version_flag("--version", "qhx " QHX_VERSION);
  program.require_subcommand(1);
  int exit_code = 0;
  qhx::tools::add_forge_command(program, exit_code);
  qhx::tools::add_inspect_command(program, exit_code);
  qhx::tools::add_profile_command(program, exit_code);
  qhx::tools::add_verify_command(program, exit_code);
  qhx::tools::add_tune_command(program, exit_code);
  qhx::tools::add_bench_command(program, exit_code);
  qhx::tools::add_forge_worker_command(program, exit_code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp& request) {
    return program.exit(request);
  } catch (const CLI::CallForAllHelp& request) {
    return program.exit(request);
  } catch (const CLI::CallForVersion& request) {
    return program.exit(request);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "qhx: error: %s; see qhx --help\n", error.what());
    return static_cast<int>(qhx::StatusCode::kInvalidArgument);
  }
  return exit_code;
}
