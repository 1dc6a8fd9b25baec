#include "runtime/bundle_files.h"

#include "base/file.h"
#include "base/hash.h"

namespace qhx::runtime {
namespace {

constexpr std::size_t kVerifyBelow = std::size_t{64} << 20;

Status damaged(const std::filesystem::path& path) {
  return corrupt(path.string() + ": does not match the manifest's sha256; get the file again");
}

}  // namespace

const manifest::FileRecord* BundleFiles::record(std::string_view file) const {
  const auto found = records_.find(std::string(file));
  return found == records_.end() ? nullptr : &found->second;
}

Result<std::filesystem::path> BundleFiles::find(std::string_view file, std::string_view key) const {
  if (file.empty()) return corrupt(std::string(key) + ": missing in the manifest");
  auto path = path_inside(folder_, file);
  if (!path.ok()) return path.status().with_context(key);
  std::error_code error;
  const auto size = std::filesystem::file_size(*path, error);
  if (error) return not_found(std::string(key) + ": " + path->string() + ": " + error.message());
  const manifest::FileRecord* expected = record(file);
  if (expected != nullptr && expected->bytes != 0 && expected->bytes != size) {
    return corrupt(path->string() + ": expected " + std::to_string(expected->bytes) +
                   " bytes from the manifest, found " + std::to_string(size) +
                   "; get the file again");
  }
  return path;
}

Result<MappedFile> BundleFiles::map(std::string_view file, std::string_view key, bool whole) const {
  QHX_ASSIGN_OR_RETURN(const std::filesystem::path path, find(file, key));
  QHX_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  const manifest::FileRecord* expected = record(file);
  if (expected != nullptr && !expected->sha256.empty() && (whole || mapped.size() < kVerifyBelow) &&
      sha256_hex(mapped.bytes()) != expected->sha256) {
    return damaged(path);
  }
  return mapped;
}

Status BundleFiles::verify(std::string_view file, std::string_view key) const {
  QHX_ASSIGN_OR_RETURN(const std::filesystem::path path, find(file, key));
  const manifest::FileRecord* expected = record(file);
  if (expected == nullptr || expected->sha256.empty()) return {};
  QHX_ASSIGN_OR_RETURN(const std::string found, sha256_hex_of_file(path));
  return found == expected->sha256 ? Status() : damaged(path);
}

Status BundleFiles::check_all(const BundleFiles& files, const manifest::Artifacts& artifacts,
                              bool verify_hashes) {
  for (const auto& [key, file] : manifest::named_files(artifacts))
    QHX_RETURN_IF_ERROR(verify_hashes ? files.verify(file, key) : files.find(file, key).status());
  return {};
}

}  // namespace qhx::runtime
