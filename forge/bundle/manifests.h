// The manifests of a bundle: pictures with text, and text alone, over the same files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/bundle/options.h"
#include "manifest/manifest.h"

namespace qhx::forge {

// What a manifest is made from, gathered while the bundle is made.
struct BundleFacts {
  std::string model;      // name
  std::string qnn_build;  // of the library that made the binaries
  std::vector<std::int32_t> stop_ids;
  manifest::Chat chat;
  std::map<std::string, manifest::FileRecord> files;  // by file name
};

inline constexpr const char* kLmHeadName = "lmhead";
inline constexpr const char* kVisionName = "vision";

manifest::Manifest make_vlm_manifest(const ForgeOptions& options, const hf::ModelConfig& config,
                                     const BundleNames& names, const BundleFacts& facts);
manifest::Manifest make_text_manifest(const ForgeOptions& options, const hf::ModelConfig& config,
                                      const BundleNames& names, const BundleFacts& facts);

}  // namespace qhx::forge
