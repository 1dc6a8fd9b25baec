// What the bundle that is verified is made of.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/status.h"
#include "open_bundle.h"
#include "reference/weights.h"
#include "verify/verified_file.h"

namespace qhx::verify {

using tools::Bundle;
using tools::open_bundle;

// What the manifest records of its files, and the manifest itself.
Result<std::map<std::string, ProvedFile>> proved_files(const Bundle& bundle);
// kCorrupt names the first file that is not the one that was proved.
Status check_files(const std::map<std::string, ProvedFile>& proved, const Bundle& bundle);

// The format "f16", "w8", "w4" or "auto" from `given`, or forge.json if that is empty; 4-bit weights as the
// bundle has them in a file of their own. kUnsupported where that is needed and missing.
Result<reference::WeightPlan> weight_plan(const Bundle& bundle, const std::string& given);

}  // namespace qhx::verify
