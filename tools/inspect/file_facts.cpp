#include "inspect/file_facts.h"

#include "base/file.h"
#include "base/hash.h"

namespace qhx::inspect {
namespace {

namespace fs = std::filesystem;
using manifest::FileRecord;

void compare_size(FileFacts& facts, const std::vector<FileRecord>& records) {
  for (const FileRecord& record : records) {
    if (record.bytes == 0 || facts.size == Match::kDifferent) continue;
    facts.size = record.bytes == facts.bytes ? Match::kEqual : Match::kDifferent;
    if (facts.size == Match::kEqual) continue;
    facts.status = corrupt(facts.file + ": expected " + std::to_string(record.bytes) +
                           " bytes from the manifest, found " + std::to_string(facts.bytes) +
                           "; get the file again");
  }
}

void compare_hash(FileFacts& facts, const std::vector<FileRecord>& records, const fs::path& path,
                  bool check) {
  for (const FileRecord& record : records) {
    if (record.sha256.empty() || facts.hash == Match::kDifferent) continue;
    facts.hash = Match::kNotChecked;
    if (!check) continue;
    if (facts.sha256.empty()) {
      auto found = sha256_hex_of_file(path);
      if (!found.ok()) {
        facts.status = found.status();
        return;
      }
      facts.sha256 = *found;
    }
    facts.hash = facts.sha256 == record.sha256 ? Match::kEqual : Match::kDifferent;
    if (facts.hash == Match::kDifferent && facts.status.ok())
      facts.status =
          corrupt(facts.file + ": does not match the manifest's sha256; get the file again");
  }
}

}  // namespace

FileFacts look_at(const fs::path& folder, const std::string& file,
                  const std::vector<FileRecord>& records, bool check) {
  FileFacts facts;
  facts.file = file;
  auto path = path_inside(folder, file);
  if (!path.ok()) {
    facts.status = path.status().with_context(file);
    return facts;
  }
  std::error_code error;
  facts.bytes = fs::file_size(*path, error);
  if (error) {
    facts.bytes = 0;
    facts.status = not_found(file + ": named by a manifest: " + error.message());
    return facts;
  }
  compare_size(facts, records);
  compare_hash(facts, records, *path, check);
  return facts;
}

}  // namespace qhx::inspect
