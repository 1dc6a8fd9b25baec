// Options of the commands that load a bundle, run it and report.
#pragma once

#include <CLI/CLI.hpp>

namespace qhx::tools {

// Options has backend_library, system_library, allow_low_memory and threads. All outlive the
// command.
template <class Options>
void add_run_options(CLI::App& command, Options& options, bool& json, bool& quiet) {
  command.add_option("--lib", options.backend_library,
                     "QNN backend library (default: that of the bundle's kind)");
  command.add_option("--system", options.system_library,
                     "QNN system library (default: the one beside --lib)");
  command.add_flag("--allow-low-memory", options.allow_low_memory,
                   "Load although the bundle needs more memory than is available");
  command.add_option("--threads", options.threads, "Threads; 0: all usable CPUs")
      ->check(CLI::Range(0, 1024));
  command.add_flag("--json", json, "Print the report as JSON, and no progress");
  command.add_flag("-q,--quiet", quiet, "No progress on stderr");
}

}  // namespace qhx::tools
