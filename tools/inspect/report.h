// What is inside a bundle or a context binary: collected once, printed as text or JSON.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/status.h"
#include "manifest/manifest.h"
#include "qnn/binary_info.h"
#include "runtime/memory_need.h"

namespace qhx::inspect {

struct Options {
  std::filesystem::path path;   // a bundle's folder, one of its manifests, or a context binary
  std::string cpu_library;      // reads binaries of the CPU library
  std::string system_library;   // reads every binary; empty: chosen by what the binary is
  std::string backend_library;  // to be asked whether it takes the binaries; empty: none
  bool check = false;           // read files whole and compare their sha256
};

// What the manifests say of a file against what it is.
enum class Match { kNotRecorded, kNotChecked, kEqual, kDifferent };

struct FileFacts {
  std::string file;  // relative to the bundle
  std::uint64_t bytes = 0;
  std::string sha256;  // as found; empty unless asked for and recorded
  Match size = Match::kNotRecorded;
  Match hash = Match::kNotRecorded;
  bool named = false;  // by a manifest
  bool is_manifest = false;
  Status status;  // missing, unreadable, of another size or sha256
};

struct ContextFacts {
  std::string file;
  std::vector<std::string> roles;  // in the manifests
  bool for_emulation = false;      // stands in for another on a PC
  std::uint64_t bytes = 0;
  qnn::BinaryInfo info;
  std::uint64_t kv_bytes_per_token = 0;  // 0: no cache
  Status status;                         // why it could not be read
  // What the backend library says of it; unset if none was asked, or if it would load another file
  // in its place.
  std::optional<Status> accepted;
};

struct ManifestFacts {
  std::string file;
  Status status;  // why it could not be read; then nothing below is set
  manifest::Manifest manifest;
  std::uint64_t kv_bytes_per_token = 0;
  std::optional<runtime::MemoryNeed> memory;  // unset if a context could not be read
};

struct LibraryFacts {
  std::string path, provider, build_id, core_api;
  bool emulation = false;
};

struct Report {
  std::filesystem::path path;
  bool is_bundle = false;
  std::vector<ManifestFacts> manifests;
  std::vector<FileFacts> files;
  std::vector<ContextFacts> contexts;
  std::optional<LibraryFacts> library;
  std::optional<runtime::MemoryNeed> memory;  // of a lone context binary
  std::optional<AvailableMemory> available;
};

// An error only if there is nothing to report on; what is wrong with the parts stands in them.
Result<Report> collect(const Options& options);

// The first thing that is wrong with a part, success if nothing is.
Status verdict(const Report& report);

std::string to_json(const Report& report);
std::string to_text(const Report& report);

}  // namespace qhx::inspect
