// The files of a bundle, checked before they are used.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/status.h"
#include "manifest/manifest.h"

namespace qhx::runtime {

// Immutable, thread-safe. Refers to the manifest's records.
class BundleFiles {
 public:
  BundleFiles(std::filesystem::path folder, const manifest::Artifacts& artifacts)
      : folder_(std::move(folder)), records_(artifacts.files) {}

  // The path of `file`, named by the manifest's `key` ("artifacts.embed"): inside the folder,
  // there, and of the recorded size.
  Result<std::filesystem::path> find(std::string_view file, std::string_view key) const;

  // The same, mapped. Files below 64 MB, or with `whole` all, are compared with their recorded
  // SHA-256; larger ones carry checksums of their own or are verified in blocks.
  Result<MappedFile> map(std::string_view file, std::string_view key, bool whole = false) const;

  // find(), and the whole file compared with its recorded SHA-256, whatever its size.
  Status verify(std::string_view file, std::string_view key) const;

  // Null if nothing is recorded.
  const manifest::FileRecord* record(std::string_view file) const;

  // Whether everything the manifest names is there with its size, and if asked with its SHA-256:
  // before any work.
  static Status check_all(const BundleFiles& files, const manifest::Artifacts& artifacts,
                          bool verify_hashes = false);

 private:
  std::filesystem::path folder_;
  const std::map<std::string, manifest::FileRecord>& records_;
};

}  // namespace qhx::runtime
