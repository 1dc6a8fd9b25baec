// Makes a context binary in a process of its own: the vendor's library may crash, run for ever or
// take more memory than there is, and none of that may end the forge or touch the bundle.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "forge/bundle/contexts.h"
#include "forge/bundle/worker_process.h"

namespace qhx::forge {

// The command of options.worker_program that calls run_context_worker().
inline constexpr const char* kWorkerCommand = "forge-context";

// write_context() in a worker, with the same arguments. `on_advance` gets elements of weights given
// to the library, and some times a second 0. Returns the worker's peak resident memory.
Result<std::uint64_t> write_context_in_worker(const ContextJob& job, const ForgeOptions& options,
                                              const ScalePlan& scales,
                                              const std::filesystem::path& file,
                                              const WorkerLimits& limits,
                                              const OnAdvance& on_advance);

// The job's graphs are built and finalized in a worker, and nothing is written but what the
// simulator says (options.target.htp.simulation): into its folder, for each graph, the trace and
// operations_file(). Returns the worker's peak resident memory.
Result<std::uint64_t> simulate_in_worker(const ContextJob& job, const ForgeOptions& options,
                                         const ScalePlan& scales, const WorkerLimits& limits,
                                         const OnAdvance& on_advance);

// What follows the command, in this order.
struct WorkerArguments {
  std::string job, checkpoint, library, system_library, judge_library, file;
};

// The worker's side: does the job and reports on descriptor kWorkerReports. Returns the exit code.
int run_context_worker(const WorkerArguments& arguments);

}  // namespace qhx::forge
