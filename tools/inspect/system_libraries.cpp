#include "inspect/system_libraries.h"

#include "qnn/binary_info.h"
#include "qnn/installed.h"

namespace qhx::inspect {
SystemLibraries::SystemLibraries(std::string given, std::string cpu, std::string backend)
    : given_{std::move(given), nullptr},
      cpu_{std::move(cpu), nullptr},
      backend_(std::move(backend)) {}

Result<std::shared_ptr<const qnn::SystemLibrary>> SystemLibraries::open(Slot& slot) {
  if (slot.library == nullptr) {
    QHX_ASSIGN_OR_RETURN(slot.library, qnn::SystemLibrary::open(slot.path));
  }
  return slot.library;
}

Result<std::shared_ptr<const qnn::SystemLibrary>> SystemLibraries::for_binary(
    std::span<const std::byte> binary) {
  if (!given_.path.empty()) return open(given_);
  if (qnn::is_qhx_cpu_binary(binary)) return open(cpu_);
  auto library = open_vendor();
  if (library.ok()) return library;
  return Status(library.status().code(),
                "not a binary of the CPU library, and the library that may read it is not there: " +
                    library.status().message() + "; --system names it, too");
}

Result<std::shared_ptr<const qnn::SystemLibrary>> SystemLibraries::open_vendor() {
  if (vendor_.path.empty()) {
    if (auto beside = qnn::system_library_beside(backend_); beside.ok()) {
      vendor_.path = *beside;
    } else {
      QHX_ASSIGN_OR_RETURN(const qnn::InstalledLibraries installed, qnn::find_htp_libraries());
      vendor_.path = installed.system;
    }
  }
  return open(vendor_);
}

}  // namespace qhx::inspect
