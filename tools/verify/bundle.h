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

// "f16", "w8" or "w4" from `given`, or forge.json if that is empty.
Result<reference::WeightFormat> weight_format(const Bundle& bundle, const std::string& given);

}  // namespace qhx::verify
