// The chip under a library, as far as the library tells it.
#pragma once

#include <cstdint>
#include <string>

#include "qnn/library.h"

namespace qhx::qnn {

struct DeviceInfo {
  std::uint32_t soc_model = 0;  // 0: not told
  std::uint32_t dsp_arch = 0;   // 75, 79, 81 …; 0: not told
};

// Asks without creating a device. Libraries that do not answer, or answer in a form that is not
// known, tell nothing; the emulation on x86 answers with its default chip whatever is emulated.
DeviceInfo read_device_info(const BackendLibrary& library);

// What to do when a library could not reach its device: names the chips of the emulation, or looks
// at ADSP_LIBRARY_PATH, where the DSP's loader searches for its side of the library ("skel").
// `search_path` is that variable's value, null if it is not set.
std::string device_hint(bool emulation, std::uint32_t soc_model, const char* search_path);

}  // namespace qhx::qnn
