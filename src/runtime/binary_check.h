// Whether a context binary fits its manifest, the library that shall load it and the chip under
// that library: told from descriptions alone, before anything is created.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "manifest/manifest.h"
#include "qnn/binary_info.h"
#include "qnn/device_info.h"

namespace qhx::runtime {

// What shall run the binaries.
struct Target {
  std::string library;  // its path, for messages
  std::string build_id;
  std::uint32_t backend_id = 0;
  bool emulation = false;  // executes the binaries of every chip
  qnn::DeviceInfo device;  // the chip, or the one that is emulated
};
// With the device that the library reports; in emulation there is none yet.
Target make_target(const qnn::BackendLibrary& library);

// The chip to emulate: the manifest's, or what the manifest leaves open from the first binary.
qnn::DeviceInfo choose_emulated(const manifest::Model& model, const qnn::BinaryInfo& first);

// kCorrupt if binary and manifest contradict each other, kUnsupported if the binary was made for
// another backend, a newer library, another arch or SoC, or cannot be loaded in emulation. With
// `allow_arch_mismatch` another arch passes in emulation, and another SoC of the same arch
// everywhere; a sentence in `notes` says so.
Status check_binary(const manifest::Model& model, const qnn::BinaryInfo& info, const Target& target,
                    bool allow_arch_mismatch, std::vector<std::string>& notes);

// Whether a binary made by the library of build `made_by` is too new for `running`. Builds look
// like "v2.51.0.…"; anything else is not compared.
bool is_newer_build(std::string_view made_by, std::string_view running);

}  // namespace qhx::runtime
