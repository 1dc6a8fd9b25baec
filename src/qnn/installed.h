// Finds the HTP libraries of this machine's own installation, which users get from the vendor under
// its licence.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace qhx::qnn {

struct InstalledLibraries {
  std::string backend;  // path of libQnnHtp.so
  std::string system;   // path of libQnnSystem.so
};

// The PyPI package that holds the x86 libraries, and the version that this project was proved with.
inline constexpr const char* kHtpPackage = "onnxruntime-qnn";
inline constexpr const char* kHtpPackageVersion = "2.7.0";

// Where install_htp_libraries() of the tools puts the package: $XDG_CACHE_HOME/qhexrt/qnn, or
// ~/.cache/qhexrt/qnn.
std::filesystem::path htp_install_folder();

// Looks, in this order, in $QHX_QNN_DIR (a folder that holds the libraries), the QAIRT SDK of
// $QNN_SDK_ROOT, the active Python environment ($VIRTUAL_ENV), htp_install_folder(), and the
// site-packages of the user and the system. kNotFound says where it looked and how to get them.
Result<InstalledLibraries> find_htp_libraries();

// What runs binaries, where the user gave only some or nothing: for a device the installed
// libraries, the system library being the one beside the backend; otherwise `cpu_library`, which is
// both.
Result<InstalledLibraries> complete_libraries(InstalledLibraries given, bool device,
                                              const std::string& cpu_library);

// The system library that lies beside `backend`, as in every installation of the vendor's.
Result<std::string> system_library_beside(const std::string& backend);

}  // namespace qhx::qnn
