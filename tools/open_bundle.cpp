#include "open_bundle.h"

#include <optional>
#include <vector>

#include "base/file.h"

namespace qhx::tools {
namespace {

namespace fs = std::filesystem;

Result<Bundle> read_bundle(const fs::path& path) {
  QHX_ASSIGN_OR_RETURN(manifest::Manifest manifest, manifest::load_manifest(path));
  fs::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  return Bundle{path, std::move(folder), std::move(manifest)};
}

}  // namespace

Result<Bundle> open_bundle(const fs::path& path, const std::string& named) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return read_bundle(path);
  if (!named.empty()) {
    QHX_ASSIGN_OR_RETURN(const fs::path inside, path_inside(path, named));
    return read_bundle(inside);
  }
  QHX_ASSIGN_OR_RETURN(const std::vector<fs::path> paths, manifest::manifests_in(path));
  std::optional<Bundle> first;
  for (const fs::path& one : paths) {
    QHX_ASSIGN_OR_RETURN(Bundle bundle, read_bundle(one));
    if (bundle.manifest.vision.has_value()) return bundle;
    if (!first) first = std::move(bundle);
  }
  return std::move(*first);
}

}  // namespace qhx::tools
