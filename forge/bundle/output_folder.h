// A folder that appears under its final name only when it is complete.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace qhx::forge {

// Files of an unfinished folder that begin so are notes for the run that takes it up: commit()
// removes them.
inline constexpr std::string_view kNotePrefix = ".forge-";
// The folder's files without notes.
std::vector<std::filesystem::path> bundle_files(const std::filesystem::path& folder);

// What would stop an OutputFolder from being created here; creates nothing. With `replace` an empty
// folder or a bundle (a folder with forge.json) may be there, nothing else: a slip of the hand must
// not remove other files.
Status check_output(const std::filesystem::path& folder, bool replace);

// Files go to a folder beside it, which commit() renames. Move-only.
class OutputFolder {
 public:
  // "<folder>.tmp-XXXXXX", which the destructor removes. Those that killed processes left behind
  // are removed now. Parents are created as needed.
  static Result<OutputFolder> create(const std::filesystem::path& folder, bool replace);
  // "<folder>.partial", which stays when the work is broken off, so that a later run goes on with
  // the files in it. `key` describes the work: files of a run with another key are removed first.
  // kUnsupported if another process is at it.
  static Result<OutputFolder> resume(const std::filesystem::path& folder, bool replace,
                                     std::string_view key);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // Where to write until commit(). A file that has its name here is finished: whole files only.
  const std::filesystem::path& path() const { return temporary_; }

  // The old folder, if there is one to replace, is removed only after the new one is in its place.
  Status commit();

  // Removes the folders that destructors would remove; for a process about to end on a signal,
  // from any thread.
  static void remove_unfinished();

 private:
  OutputFolder(std::filesystem::path temporary, std::filesystem::path final_path, bool replace,
               bool keep, int lock);

  std::filesystem::path temporary_;
  std::filesystem::path final_;
  bool replace_;
  bool keep_;  // the folder stays if there is no commit
  int lock_;   // descriptor whose lock says that a process is at work here; the lock ends with it
};

}  // namespace qhx::forge
