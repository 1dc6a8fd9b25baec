#include "forge/bundle/output_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <set>
#include <utility>

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;

std::mutex unfinished_mutex;
std::set<fs::path>& unfinished() {
  static std::set<fs::path> folders;
  return folders;
}

// Absolute, without a trailing slash, so that siblings can be named.
fs::path tidy(const fs::path& folder) {
  std::error_code error;
  fs::path absolute = fs::absolute(folder, error).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return absolute;
}

fs::path nearest_existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Status check_output(const fs::path& folder, bool replace) {
  if (folder.empty()) return invalid_argument("output folder: no name given");
  const fs::path final_path = tidy(folder);
  if (!final_path.has_relative_path()) return invalid_argument("output folder: is the root folder");
  std::error_code error;
  const fs::file_status status = fs::symlink_status(final_path, error);
  if (fs::exists(status)) {
    if (!replace)
      return invalid_argument(final_path.string() +
                              ": exists already; give another folder, or --force to replace it");
    if (!fs::is_directory(status))
      return invalid_argument(final_path.string() +
                              ": is not a folder; --force does not replace it");
    if (!fs::is_empty(final_path, error) && !fs::exists(final_path / "forge.json", error)) {
      return invalid_argument(final_path.string() +
                              ": is no bundle (it has no forge.json); --force does not replace it");
    }
  }
  const fs::path parent = nearest_existing(final_path.parent_path());
  if (!fs::is_directory(parent, error))
    return invalid_argument(parent.string() + ": is not a folder");
  if (::access(parent.c_str(), W_OK | X_OK) != 0)
    return errno_error(parent.string() + ": cannot create a folder here");
  return {};
}

OutputFolder::OutputFolder(fs::path temporary, fs::path final_path, bool replace)
    : temporary_(std::move(temporary)), final_(std::move(final_path)), replace_(replace) {
  const std::lock_guard lock(unfinished_mutex);
  unfinished().insert(temporary_);
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})),
      final_(std::move(other.final_)),
      replace_(other.replace_) {}

OutputFolder::~OutputFolder() {
  if (temporary_.empty()) return;
  const std::lock_guard lock(unfinished_mutex);
  std::error_code error;
  fs::remove_all(temporary_, error);
  unfinished().erase(temporary_);
}

Result<OutputFolder> OutputFolder::create(const fs::path& folder, bool replace) {
  QHX_RETURN_IF_ERROR(check_output(folder, replace));
  const fs::path final_path = tidy(folder);
  std::error_code error;
  fs::create_directories(final_path.parent_path(), error);
  if (error) return io_error(final_path.parent_path().string() + ": " + error.message());
  std::string pattern = final_path.string() + ".tmp-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(pattern + ": cannot create");
  ::chmod(pattern.c_str(), 0755);
  return OutputFolder(pattern, final_path, replace);
}

Status OutputFolder::commit() {
  const std::lock_guard lock(unfinished_mutex);
  sync_folder(temporary_);
  std::error_code error;
  const bool swap = replace_ && fs::exists(fs::symlink_status(final_, error));
  // Exchanging the two names is one step: there is no moment without a bundle.
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(),
                  swap ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0) {
    // Not every file system knows the flags.
    if (errno != EINVAL && errno != ENOSYS)
      return errno_error(final_.string() + ": cannot put the finished bundle there");
    if (swap) fs::remove_all(final_, error);
    if (::rename(temporary_.c_str(), final_.c_str()) != 0)
      return errno_error(final_.string() + ": cannot put the finished bundle there");
  }
  sync_folder(final_.parent_path());
  unfinished().erase(temporary_);
  if (swap) fs::remove_all(temporary_, error);  // now the old bundle
  temporary_.clear();
  return {};
}

void OutputFolder::remove_unfinished() {
  // The lock is kept on the way out, so that no other thread renames or creates meanwhile.
  unfinished_mutex.lock();
  std::error_code error;
  for (const fs::path& folder : unfinished()) fs::remove_all(folder, error);
}

}  // namespace qhx::forge
