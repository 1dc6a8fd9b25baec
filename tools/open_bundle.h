// Which manifest of a bundle a command works on.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"
#include "manifest/manifest.h"

namespace qhx::tools {

struct Bundle {
  std::filesystem::path manifest_path, folder;
  manifest::Manifest manifest;
  bool for_cpu() const { return manifest.model.dsp_arch == "cpu"; }
};

// `path` is a manifest, or a folder: then the manifest `named`, or if that is empty the one that
// takes pictures, or the only one.
Result<Bundle> open_bundle(const std::filesystem::path& path, const std::string& named);

}  // namespace qhx::tools
