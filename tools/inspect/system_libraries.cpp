#include "inspect/system_libraries.h"

#include <filesystem>

#include "qnn/binary_info.h"

namespace qhx::inspect {
namespace {

namespace fs = std::filesystem;

std::string find_vendor_library(const std::string& backend) {
  const fs::path beside = fs::path(backend).parent_path() / qnn::kVendorSystemLibrary;
  std::error_code error;
  const bool usable = beside.has_parent_path() && fs::exists(beside, error);
  return usable ? beside.string() : qnn::vendor_library(qnn::kVendorSystemLibrary);
}

}  // namespace

SystemLibraries::SystemLibraries(std::string given, std::string cpu, const std::string& backend)
    : given_{std::move(given), nullptr},
      cpu_{std::move(cpu), nullptr},
      vendor_{find_vendor_library(backend), nullptr} {}

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
  auto library = open(vendor_);
  if (library.ok()) return library;
  return Status(library.status().code(),
                "not a binary of the CPU library, and the library that may read it is not there: " +
                    library.status().message() +
                    "; name it with --system, or set QHX_QNN_DIR to its folder");
}

}  // namespace qhx::inspect
