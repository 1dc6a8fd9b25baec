// Which manifest of a bundle is verified, and what it is made of.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/status.h"
#include "manifest/manifest.h"
#include "reference/weights.h"
#include "verify/verified_file.h"

namespace qhx::verify {

struct Bundle {
  std::filesystem::path manifest_path, folder;
  manifest::Manifest manifest;
  bool for_cpu() const { return manifest.model.dsp_arch == "cpu"; }
};

// `path` is a manifest, or a folder: then the manifest `named`, or if that is empty the one that
// takes pictures, or the only one.
Result<Bundle> open_bundle(const std::filesystem::path& path, const std::string& named);

// What the manifest records of its files, and the manifest itself.
Result<std::map<std::string, ProvedFile>> proved_files(const Bundle& bundle);
// kCorrupt names the first file that is not the one that was proved.
Status check_files(const std::map<std::string, ProvedFile>& proved, const Bundle& bundle);

// "w8" or "f16" from `given`, or forge.json if that is empty.
Result<reference::WeightFormat> weight_format(const Bundle& bundle, const std::string& given);

}  // namespace qhx::verify
