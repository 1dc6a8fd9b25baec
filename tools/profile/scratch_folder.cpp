#include "profile/scratch_folder.h"

#include <unistd.h>

#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace qhx::profile {
namespace {

namespace fs = std::filesystem;

struct Living {
  std::mutex mutex;
  std::set<fs::path> folders;
};
Living& living() {
  static Living* const instance = new Living;  // outlives the exit handlers
  return *instance;
}

}  // namespace

Result<ScratchFolder> ScratchFolder::create() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) return io_error("TMPDIR: " + error.message());
  std::string path = (parent / "qhx-profile-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) return errno_error(path);
  const std::lock_guard lock(living().mutex);
  living().folders.insert(path);
  return ScratchFolder(path);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

ScratchFolder::~ScratchFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  const std::lock_guard lock(living().mutex);
  living().folders.erase(path_);
}

void ScratchFolder::remove_all() {
  const std::lock_guard lock(living().mutex);
  for (const fs::path& folder : living().folders) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
}

}  // namespace qhx::profile
