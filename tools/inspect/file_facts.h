// One file of a bundle against what the manifests record of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inspect/report.h"

namespace qhx::inspect {

// `records` may differ: the file must equal each. Reads the file only if `check` is set and a
// sha256 is recorded.
FileFacts look_at(const std::filesystem::path& folder, const std::string& file,
                  const std::vector<manifest::FileRecord>& records, bool check);

}  // namespace qhx::inspect
