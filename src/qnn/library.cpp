#include "qnn/library.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>

#include "qnn/error.h"
#include "qnn/log.h"

namespace qhx::qnn {

namespace fs = std::filesystem;

namespace {

// The oldest core API whose function table starts like ours: older ones lack slots in the middle.
constexpr std::uint32_t kMinCoreMinor = 20;

// Calls a provider function and picks the first entry that `accept` likes.
template <typename Interface, typename GetProviders, typename Accept>
Result<const Interface*> pick_provider(const SharedObject& object, const char* symbol,
                                       Accept accept) {
  const auto get = reinterpret_cast<GetProviders>(object.symbol(symbol));
  if (get == nullptr) {
    return unsupported(object.path() +
                       ": is not the QNN library it should be: it does not export " + symbol);
  }
  const Interface** providers = nullptr;
  std::uint32_t count = 0;
  QHX_RETURN_IF_ERROR(check(get(&providers, &count), object.path() + ": " + symbol));
  std::string offered;
  for (std::uint32_t i = 0; providers != nullptr && i < count; ++i) {
    if (providers[i] == nullptr) continue;
    if (accept(*providers[i], offered)) return providers[i];
  }
  return unsupported(object.path() + ": no provider with a usable API version; it offers" +
                     (offered.empty() ? " none" : offered));
}

}  // namespace

std::string to_string(const Qnn_Version_t& v) {
  return std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

Result<SharedObject> SharedObject::open(const std::string& path) {
  const SilentStdout quiet;
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    std::string message = "cannot load library " + (reason != nullptr ? reason : path);
    // A file that is there lacks something else, which the loader has named.
    std::error_code error;
    if (const std::string get = how_to_get(path); !get.empty() && !fs::exists(path, error))
      message += "; " + get;
    return not_found(std::move(message));
  }
  return SharedObject(handle, path);
}

void* SharedObject::symbol(const char* name) const { return ::dlsym(handle_, name); }

Result<std::shared_ptr<const BackendLibrary>> BackendLibrary::open(const std::string& path) {
  QHX_ASSIGN_OR_RETURN(SharedObject object, SharedObject::open(path));
  const auto accept = [](const QnnInterface_t& provider, std::string& offered) {
    const Qnn_Version_t core = provider.apiVersion.coreApiVersion;
    offered += " " + std::string(provider.providerName) + " " + to_string(core);
    return core.major == 2 && core.minor >= kMinCoreMinor;
  };
  auto picked = pick_provider<QnnInterface_t, QnnInterface_GetProvidersFn_t>(
      object, "QnnInterface_getProviders", accept);
  if (!picked.ok()) return picked.status();
  return std::shared_ptr<const BackendLibrary>(new BackendLibrary(std::move(object), *picked));
}

std::string BackendLibrary::build_id() const {
  const char* text = nullptr;
  if (api().backendGetBuildId(&text) != QNN_SUCCESS || text == nullptr) return {};
  return text;
}

std::string BackendLibrary::identity() const {
  std::string text = provider() + " " + build_id();
  Dl_info object{};
  struct stat file {};
  if (::dladdr(interface_, &object) != 0 && object.dli_fname != nullptr &&
      ::stat(object.dli_fname, &file) == 0) {
    for (const std::int64_t part : {std::int64_t{file.st_size}, std::int64_t{file.st_mtim.tv_sec},
                                    std::int64_t{file.st_mtim.tv_nsec}})
      text += " " + std::to_string(part);
  }
  return text;
}

bool BackendLibrary::is_qhx_cpu() const { return provider() == "QHX_CPU"; }
bool BackendLibrary::emulates_device() const {
#if defined(__x86_64__)
  return !is_qhx_cpu();
#else
  return false;
#endif
}

Result<std::shared_ptr<const SystemLibrary>> SystemLibrary::open(const std::string& path) {
  QHX_ASSIGN_OR_RETURN(SharedObject object, SharedObject::open(path));
  const auto accept = [](const QnnSystemInterface_t& provider, std::string& offered) {
    offered +=
        " " + std::string(provider.providerName) + " " + to_string(provider.systemApiVersion);
    return provider.systemApiVersion.major == 1;
  };
  auto picked = pick_provider<QnnSystemInterface_t, QnnSystemInterface_GetProvidersFn_t>(
      object, "QnnSystemInterface_getProviders", accept);
  if (!picked.ok()) return picked.status();
  return std::shared_ptr<const SystemLibrary>(new SystemLibrary(std::move(object), *picked));
}

std::string backend_name(std::uint32_t backend_id) {
  if (backend_id == kHtpBackendId) return "HTP";
  if (backend_id == kQhxCpuBackendId) return "QHX_CPU";
  return std::to_string(backend_id);
}

std::string libraries_to_give(bool cpu_binary) {
  return cpu_binary ? "give libQhxCpu.so for both libraries"
                    : "give libQnnHtp.so and libQnnSystem.so";
}

std::string how_to_get(const std::string& path) {
  if (!fs::path(path).filename().string().starts_with("libQnn")) return "";
#if defined(__x86_64__)
  return "the QNN libraries for a PC come with `qhx forge --get-qnn`, `pip install "
         "onnxruntime-qnn` (folder site-packages/onnxruntime_qnn) or the QAIRT SDK: give the "
         "library's full path";
#else
  return "the QNN libraries for devices come with the QAIRT SDK (lib/aarch64-*) or the Python "
         "package qnnruntime: put them into a folder of LD_LIBRARY_PATH or give the full path";
#endif
}

}  // namespace qhx::qnn
