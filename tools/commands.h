// The subcommands of `qhx`. Each adds itself to the program and, when chosen, runs and leaves its
// exit code: that of its Status (base/status.h).
#pragma once

#include <CLI/CLI.hpp>

namespace qhx::tools {

void add_bench_command(CLI::App& program, int& exit_code);
void add_forge_command(CLI::App& program, int& exit_code);
void add_inspect_command(CLI::App& program, int& exit_code);
void add_profile_command(CLI::App& program, int& exit_code);
void add_tune_command(CLI::App& program, int& exit_code);
void add_verify_command(CLI::App& program, int& exit_code);
// The other side of the forge's worker processes; not shown in help.
void add_forge_worker_command(CLI::App& program, int& exit_code);

}  // namespace qhx::tools
