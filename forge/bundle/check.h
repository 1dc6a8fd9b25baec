// A finished bundle read back the way a runtime reads it: its manifest parses, its files have the
// recorded sizes, and its binaries hold the graphs and tensors that the manifest promises.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "manifest/manifest.h"
#include "qnn/library.h"

namespace qhx::forge {

// The manifest is a file of the bundle's folder. Errors name the file, graph and tensor with what
// was expected and found. Weights are not read.
Status check_bundle(const std::filesystem::path& manifest_file, const qnn::SystemLibrary& system);

}  // namespace qhx::forge
