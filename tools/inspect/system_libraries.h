// Which system library reads which context binary.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "qnn/library.h"

namespace qhx::inspect {

// Opens libraries when they are first needed.
class SystemLibraries {
 public:
  // `given` reads every binary if it is not empty. Else `cpu` reads those of the CPU library, and
  // the vendor's library the others: the one beside `backend` if there is one, or the installed
  // one.
  SystemLibraries(std::string given, std::string cpu, std::string backend);

  Result<std::shared_ptr<const qnn::SystemLibrary>> for_binary(std::span<const std::byte> binary);

 private:
  struct Slot {
    std::string path;
    std::shared_ptr<const qnn::SystemLibrary> library;
  };
  static Result<std::shared_ptr<const qnn::SystemLibrary>> open(Slot& slot);
  Result<std::shared_ptr<const qnn::SystemLibrary>> open_vendor();

  Slot given_, cpu_, vendor_;
  std::string backend_;
};

}  // namespace qhx::inspect
