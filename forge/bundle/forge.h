// Makes a bundle from a Hugging Face checkpoint: the whole of `qhx forge` but its command line.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/bundle/options.h"
#include "forge/bundle/work.h"

namespace qhx::forge {

struct ForgeReport {
  std::string model;
  std::filesystem::path bundle;
  std::vector<std::string> manifests;  // file names
  std::uint64_t bytes = 0;             // of all files
  std::vector<StageTime> stages;
  std::uint64_t peak_resident_bytes = 0;
  nlohmann::ordered_json quality;     // what quality.json has; null: there is none
  std::vector<std::string> warnings;  // sentences: what a user should know of the finished bundle
};

// Everything that can be checked before work begins is checked first; a failure or a stop leaves
// nothing under the final name. For devices what is finished stays in "<output>.partial", and a
// later run with the same options and inputs goes on from there; otherwise nothing is left behind.
// `report` may be empty, `stop` null. Uses options.threads threads.
Result<ForgeReport> forge_bundle(const ForgeOptions& options, Work::Report report = {},
                                 const std::atomic<bool>* stop = nullptr);

}  // namespace qhx::forge
