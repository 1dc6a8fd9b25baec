#include "qnn/installed.h"

#include <algorithm>
#include <cstdlib>

namespace qhx::qnn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBackendFile = "libQnnHtp.so";
constexpr const char* kSystemFile = "libQnnSystem.so";
#if defined(__aarch64__)
constexpr const char* kSdkFolder = "lib/aarch64-oe-linux-gcc11.2";
#else
constexpr const char* kSdkFolder = "lib/x86_64-linux-clang";
#endif

fs::path environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? fs::path() : fs::path(value);
}

// The package's folder in every Python version of a library folder such as "<venv>/lib".
void add_site_packages(const fs::path& lib, std::vector<fs::path>& folders) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(lib, error)) {
    if (!entry.path().filename().string().starts_with("python3")) continue;
    for (const char* packages : {"site-packages", "dist-packages"})
      found.push_back(entry.path() / packages / "onnxruntime_qnn");
  }
  std::sort(found.rbegin(), found.rend());
  folders.insert(folders.end(), found.begin(), found.end());
}

std::vector<fs::path> places() {
  std::vector<fs::path> folders;
  if (const fs::path given = environment("QHX_QNN_DIR"); !given.empty()) folders.push_back(given);
  if (const fs::path sdk = environment("QNN_SDK_ROOT"); !sdk.empty())
    folders.push_back(sdk / kSdkFolder);
  if (const fs::path venv = environment("VIRTUAL_ENV"); !venv.empty())
    add_site_packages(venv / "lib", folders);
  if (const fs::path own = htp_install_folder(); !own.empty())
    add_site_packages(own / "lib", folders);
  if (const fs::path home = environment("HOME"); !home.empty())
    add_site_packages(home / ".local/lib", folders);
  for (const char* lib : {"/usr/local/lib", "/usr/lib"}) add_site_packages(lib, folders);
  return folders;
}

}  // namespace

fs::path htp_install_folder() {
  fs::path cache = environment("XDG_CACHE_HOME");
  if (cache.empty()) {
    const fs::path home = environment("HOME");
    if (home.empty()) return {};
    cache = home / ".cache";
  }
  return cache / "qhexrt" / "qnn";
}

Result<InstalledLibraries> find_htp_libraries() {
  std::error_code error;
  for (const fs::path& folder : places()) {
    if (!fs::exists(folder / kBackendFile, error) || !fs::exists(folder / kSystemFile, error))
      continue;
    return InstalledLibraries{(folder / kBackendFile).string(), (folder / kSystemFile).string()};
  }
  return not_found(std::string(kBackendFile) +
                   ": not found in $QHX_QNN_DIR, $QNN_SDK_ROOT, the Python environment or " +
                   htp_install_folder().string() +
                   ". It comes from the vendor, under its licence: \"qhx forge "
                   "--get-qnn\" installs it for you, or pip install " +
                   kHtpPackage + "==" + kHtpPackageVersion +
                   ", or name its file (forge: --qnn-lib, others: --lib)");
}

Result<InstalledLibraries> complete_libraries(InstalledLibraries given, bool device,
                                              const std::string& cpu_library) {
  if (given.backend.empty() && !device) given.backend = cpu_library;
  if (given.backend.empty()) {
    QHX_ASSIGN_OR_RETURN(const InstalledLibraries found, find_htp_libraries());
    given.backend = found.backend;
  }
  if (given.system.empty() && !device) given.system = given.backend;
  if (given.system.empty()) {
    QHX_ASSIGN_OR_RETURN(given.system, system_library_beside(given.backend));
  }
  return given;
}

Result<std::string> system_library_beside(const std::string& backend) {
  const fs::path path = fs::path(backend).parent_path() / kSystemFile;
  std::error_code error;
  if (fs::exists(path, error)) return path.string();
  return not_found(path.string() + ": not found beside " + fs::path(backend).filename().string() +
                   "; name the system library as well");
}

}  // namespace qhx::qnn
