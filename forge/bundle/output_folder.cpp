#include "forge/bundle/output_folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <set>
#include <utility>

#include "base/file.h"

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

const std::string kKeyFile = std::string(kNotePrefix) + "key";

bool is_note(const fs::path& file) { return file.filename().string().starts_with(kNotePrefix); }

// An exclusive lock on a folder or file that ends with the process, or -1 if another holds it.
int lock_path(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

// Temporary folders of `final_path` whose process is gone.
void remove_abandoned(const fs::path& final_path) {
  const std::string prefix = final_path.filename().string() + ".tmp-";
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(final_path.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name.size() != prefix.size() + 6) continue;
    const int lock = lock_path(entry.path());
    if (lock < 0) continue;
    fs::remove_all(entry.path(), error);
    ::close(lock);
  }
}

// Absolute and with its parents made.
Result<fs::path> prepare(const fs::path& folder, bool replace) {
  QHX_RETURN_IF_ERROR(check_output(folder, replace));
  const fs::path final_path = tidy(folder);
  std::error_code error;
  fs::create_directories(final_path.parent_path(), error);
  if (error) return io_error(final_path.parent_path().string() + ": " + error.message());
  return final_path;
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::vector<fs::path> bundle_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!is_note(entry.path())) files.push_back(entry.path());
  }
  return files;
}

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

OutputFolder::OutputFolder(fs::path temporary, fs::path final_path, bool replace, bool keep,
                           int lock)
    : temporary_(std::move(temporary)),
      final_(std::move(final_path)),
      replace_(replace),
      keep_(keep),
      lock_(lock) {
  const std::lock_guard guard(unfinished_mutex);
  if (!keep_) unfinished().insert(temporary_);
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : temporary_(std::exchange(other.temporary_, {})),
      final_(std::move(other.final_)),
      replace_(other.replace_),
      keep_(other.keep_),
      lock_(std::exchange(other.lock_, -1)) {}

OutputFolder::~OutputFolder() {
  if (!temporary_.empty() && !keep_) {
    const std::lock_guard guard(unfinished_mutex);
    std::error_code error;
    fs::remove_all(temporary_, error);
    unfinished().erase(temporary_);
  }
  if (lock_ >= 0) ::close(lock_);
}

Result<OutputFolder> OutputFolder::create(const fs::path& folder, bool replace) {
  QHX_ASSIGN_OR_RETURN(const fs::path final_path, prepare(folder, replace));
  remove_abandoned(final_path);
  std::string pattern = final_path.string() + ".tmp-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(pattern + ": cannot create");
  ::chmod(pattern.c_str(), 0755);
  return OutputFolder(pattern, final_path, replace, false, lock_path(pattern));
}

Result<OutputFolder> OutputFolder::resume(const fs::path& folder, bool replace,
                                          std::string_view key) {
  QHX_ASSIGN_OR_RETURN(const fs::path final_path, prepare(folder, replace));
  const fs::path partial = final_path.string() + ".partial";
  std::error_code error;
  fs::create_directory(partial, error);
  if (error) return io_error(partial.string() + ": " + error.message());
  const int lock = lock_path(partial);
  if (lock < 0)
    return unsupported(partial.string() + ": another process is making this bundle; wait for it");
  OutputFolder out(partial, final_path, replace, true, lock);
  const fs::path key_file = partial / kKeyFile;
  const auto found = read_file(key_file);
  const bool go_on = found.ok() && *found == key;
  for (const auto& entry : fs::directory_iterator(partial, error)) {
    // Unfinished files of a killed process go in any case.
    const std::string name = entry.path().filename().string();
    if (go_on && name.find(".tmp-") == std::string::npos) continue;
    std::error_code removal;
    fs::remove_all(entry.path(), removal);
    if (removal) return io_error(entry.path().string() + ": " + removal.message());
  }
  if (!go_on) QHX_RETURN_IF_ERROR(write_file(key_file, key));
  return out;
}

Status OutputFolder::commit() {
  const std::lock_guard guard(unfinished_mutex);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(temporary_, error)) {
    if (is_note(entry.path())) fs::remove(entry.path(), error);
  }
  sync_folder(temporary_);
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
