#include "qnn/device_info.h"

#include <filesystem>
#include <string_view>

#include "qnn/error.h"
#include "qnn/log.h"

namespace qhx::qnn {
namespace {

namespace fs = std::filesystem;

DeviceInfo read(const QnnDevice_PlatformInfo_t& platform) {
  if (platform.version != 1 || platform.v1.numHwDevices == 0 || platform.v1.hwDevices == nullptr)
    return {};
  const QnnDevice_HardwareDeviceInfo_t& device = platform.v1.hwDevices[0];
  if (device.version != 1 || device.v1.deviceInfoExtension == nullptr) return {};
  const auto& extension =
      *static_cast<const QnnHtpDevice_DeviceInfoExtension_t*>(device.v1.deviceInfoExtension);
  constexpr std::uint32_t kOnChip = 0;
  if (extension.devType != kOnChip) return {};
  return {.soc_model = extension.socModel, .dsp_arch = extension.arch};
}

bool has_skel(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("libQnnHtpV") && name.ends_with("Skel.so")) return true;
  }
  return false;
}

}  // namespace

DeviceInfo read_device_info(const BackendLibrary& library) {
  if (library.backend_id() != kHtpBackendId) return {};
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  const Qnn_ErrorHandle_t code = library.api().deviceGetPlatformInfo(nullptr, &platform);
  take_recent_errors();  // not to be able to tell is no error
  if (code != QNN_SUCCESS || platform == nullptr) return {};
  const DeviceInfo info = read(*platform);
  library.api().deviceFreePlatformInfo(nullptr, platform);
  return info;
}

std::string device_hint(bool emulation, std::uint32_t soc_model, const char* search_path) {
  if (emulation) {
    return "the emulated chip is SoC " + std::to_string(soc_model) +
           "; known are 43 (v73), 57 (v75), 69 (v79) and 87 (v81)";
  }
  constexpr std::string_view kSkel = "the DSP's side of the library, libQnnHtpV<arch>Skel.so";
  const std::string_view value = search_path != nullptr ? search_path : "";
  if (value.empty())
    return "ADSP_LIBRARY_PATH is not set: set it to the folder of " + std::string(kSkel);
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t end = std::min(value.find(';', at), value.size());
    const fs::path folder(value.substr(at, end - at));
    if (!folder.empty() && has_skel(folder)) {
      return "the skel library in " + folder.string() +
             " may be of another arch or version than this library: take both from one package";
    }
    at = end + 1;
  }
  std::string hint =
      "no folder of ADSP_LIBRARY_PATH (" + std::string(value) + ") holds " + std::string(kSkel);
  if (value.find(';') == std::string_view::npos && value.find(':') != std::string_view::npos)
    hint += "; its folders are separated by \";\", not \":\"";
  return hint;
}

}  // namespace qhx::qnn
