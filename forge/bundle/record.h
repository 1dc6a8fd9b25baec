// forge.json: how a bundle was made, for people and for repeating it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "forge/bundle/options.h"
#include "forge/bundle/work.h"
#include "qnn/library.h"

namespace qhx::forge {

struct InputFile {
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct ForgeRecord {
  std::map<std::string, InputFile> inputs;  // by file name
  std::vector<StageTime> stages;
  nlohmann::ordered_json activations;     // as range_record() has it; null: not of this target
  nlohmann::ordered_json rounding;        // as round_weights() has it; null: to the nearest
  nlohmann::ordered_json proofs;          // as read_proof_notes() has them; null: there are none
  std::uint64_t peak_resident_bytes = 0;  // of the process that needed most
};

// A stage as forge.json and `qhx forge --json` show it.
nlohmann::ordered_json describe_stage(const StageTime& stage);

// The document's text. Paths of the machine stay out of it: names of files only.
std::string print_record(const ForgeOptions& options, const std::string& model,
                         const qnn::BackendLibrary& library, const ForgeRecord& record);

// What the work depends on: two runs with the same key make the same files. Inputs are known by
// name, size and time of change.
std::string work_key(const ForgeOptions& options, const qnn::BackendLibrary& library,
                     const std::string& model, const std::vector<std::filesystem::path>& inputs);

// The largest resident memory of this process so far, in bytes.
std::uint64_t peak_resident_bytes();

}  // namespace qhx::forge
