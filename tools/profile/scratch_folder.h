// A folder that goes away with the object.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace qhx::profile {

class ScratchFolder {
 public:
  // Under $TMPDIR, else /tmp.
  static Result<ScratchFolder> create();
  ScratchFolder(ScratchFolder&& other) noexcept;
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();

  const std::filesystem::path& path() const { return path_; }
  // What all living objects would remove: for a program that must end now.
  static void remove_all();

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace qhx::profile
