// The operations of a graph that was simulated, by the simulator's numbers for them, as a worker
// leaves them in a file beside the trace.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "qnn/context.h"
#include "qnn/operation_ids.h"

namespace qhx::forge {

using NumberedOperations = std::map<std::uint32_t, qnn::Operation>;

std::filesystem::path operations_file(const std::filesystem::path& folder,
                                      const std::string& graph);
// Those of `operations` that `ids` names.
Status write_operations(const std::filesystem::path& file, const qnn::OperationIds& ids,
                        const std::vector<qnn::Operation>& operations);
Result<NumberedOperations> read_operations(const std::filesystem::path& file);

}  // namespace qhx::forge
