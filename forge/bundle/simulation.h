// Simulated executions of a context's graphs on their device, by the vendor's library while it
// finalizes them. Nothing is written but what the simulator says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/bundle/context_worker.h"
#include "qnn/context.h"
#include "qnn/operation_ids.h"

namespace qhx::forge {

// The job's graphs are built and finalized in a worker, with options.target.htp.simulation; for
// each, its folder then has the simulator's trace and operations_file(). Returns the worker's peak
// resident memory.
Result<std::uint64_t> simulate_in_worker(const ContextJob& job, const ForgeOptions& options,
                                         const WorkerLimits& limits, const OnAdvance& on_advance);

// The operations of a graph by the simulator's numbers for them.
using NumberedOperations = std::map<std::uint32_t, qnn::Operation>;

std::filesystem::path operations_file(const std::filesystem::path& folder,
                                      const std::string& graph);
Status write_operations(const std::filesystem::path& file, const qnn::OperationIds& ids,
                        const std::vector<qnn::Operation>& operations);
Result<NumberedOperations> read_operations(const std::filesystem::path& file);

}  // namespace qhx::forge
