// A folder that appears under its final name only when it is complete.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace qhx::forge {

// What would stop an OutputFolder from being created here; creates nothing. With `replace` an empty
// folder or a bundle (a folder with forge.json) may be there, nothing else: a slip of the hand must
// not remove other files.
Status check_output(const std::filesystem::path& folder, bool replace);

// Files go to "<folder>.tmp-XXXXXX" beside it, which commit() renames and the destructor removes.
// Move-only.
class OutputFolder {
 public:
  // Parents are created as needed.
  static Result<OutputFolder> create(const std::filesystem::path& folder, bool replace);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // Where to write until commit().
  const std::filesystem::path& path() const { return temporary_; }

  // The old folder, if there is one to replace, is removed only after the new one is in its place.
  Status commit();

  // Removes the temporary folders of all objects alive; for a process about to end on a signal,
  // from any thread.
  static void remove_unfinished();

 private:
  OutputFolder(std::filesystem::path temporary, std::filesystem::path final_path, bool replace);

  std::filesystem::path temporary_;
  std::filesystem::path final_;
  bool replace_;
};

}  // namespace qhx::forge
