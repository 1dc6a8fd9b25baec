#include "runtime/binary_check.h"

#include <array>
#include <cstdio>
#include <optional>

namespace qhx::runtime {
namespace {

using manifest::Model;
using qnn::BinaryInfo;
using qnn::DeviceInfo;

std::optional<std::array<unsigned, 2>> major_minor(std::string_view build) {
  std::array<unsigned, 2> version{};
  const std::string text(build);
  if (std::sscanf(text.c_str(), "v%u.%u.", &version[0], &version[1]) != 2) return std::nullopt;
  return version;
}

std::string arch_name(std::uint32_t arch) { return "v" + std::to_string(arch); }

// 79 of "v79"; 0 for anything else.
std::uint32_t arch_number(const std::string& name) {
  unsigned arch = 0;
  char rest = 0;
  return std::sscanf(name.c_str(), "v%3u%c", &arch, &rest) == 1 ? arch : 0;
}

std::string describe(const DeviceInfo& chip) {
  std::string text = chip.dsp_arch == 0 ? "an unknown arch" : arch_name(chip.dsp_arch);
  if (chip.soc_model != 0) text += " (SoC " + std::to_string(chip.soc_model) + ")";
  return text;
}

bool differ(std::uint32_t a, std::uint32_t b) { return a != 0 && b != 0 && a != b; }

Status check_backend(const BinaryInfo& info, const Target& target) {
  if (info.backend_id == 0 || info.backend_id == target.backend_id) return {};
  return unsupported("made for QNN backend " + qnn::backend_name(info.backend_id) + ", " +
                     target.library + " is backend " + qnn::backend_name(target.backend_id) +
                     "; give the library that the bundle was made for");
}

Status check_manifest(const Model& model, const BinaryInfo& info) {
  if (info.dsp_arch != 0 && !model.dsp_arch.empty() && arch_name(info.dsp_arch) != model.dsp_arch) {
    return corrupt("wrong arch: model.dsp_arch: the manifest says " + model.dsp_arch +
                   ", the binary " + arch_name(info.dsp_arch) +
                   "; take manifest and binaries from one bundle");
  }
  if (differ(info.soc_model, model.soc_model)) {
    return corrupt("wrong SoC: model.soc_model: the manifest says " +
                   std::to_string(model.soc_model) + ", the binary " +
                   std::to_string(info.soc_model) + "; take manifest and binaries from one bundle");
  }
  return {};
}

// `made_for` is the binary's chip, completed from the manifest.
Status check_device(const DeviceInfo& made_for, const Target& target) {
  const std::string chip = target.emulation ? "the emulated chip is " : "this device is ";
  if (differ(made_for.dsp_arch, target.device.dsp_arch)) {
    return unsupported("wrong arch: made for " + describe(made_for) + ", " + chip +
                       describe(target.device) + "; use a bundle made for " +
                       arch_name(target.device.dsp_arch));
  }
  if (differ(made_for.soc_model, target.device.soc_model)) {
    return unsupported("wrong SoC: made for " + describe(made_for) + ", " + chip +
                       describe(target.device) + "; use a bundle made for SoC " +
                       std::to_string(target.device.soc_model) +
                       ", or --allow-arch-mismatch to let the library judge");
  }
  return {};
}

// Whether what is wrong may be overridden: a device never runs another arch.
bool may_allow(const DeviceInfo& made_for, const Target& target) {
  return target.emulation || !differ(made_for.dsp_arch, target.device.dsp_arch);
}

Status check_chip(const Model& model, const BinaryInfo& info, const Target& target,
                  bool allow_mismatch, std::vector<std::string>& notes) {
  const DeviceInfo made_for = {
      .soc_model = info.soc_model != 0 ? info.soc_model : model.soc_model,
      .dsp_arch = info.dsp_arch != 0 ? info.dsp_arch : arch_number(model.dsp_arch)};
  Status status = check_manifest(model, info);
  if (status.ok()) status = check_device(made_for, target);
  if (status.ok()) return {};
  if (allow_mismatch && may_allow(made_for, target)) {
    notes.push_back(status.message() + (target.emulation ? "; runs in emulation only" : "") +
                    " (allowed by --allow-arch-mismatch)");
    return {};
  }
  if (target.emulation) {
    return {status.code(), status.message() + "; --allow-arch-mismatch lets it run in emulation"};
  }
  return status;
}

Status check_build(const Model& model, const BinaryInfo& info, const Target& target) {
  const std::string& made_by = info.build_id.empty() ? model.qnn_build : info.build_id;
  if (!is_newer_build(made_by, target.build_id)) return {};
  return unsupported("library too old: made by QNN build " + made_by + ", " + target.library +
                     " is " + target.build_id + "; update the QNN libraries to at least " +
                     made_by);
}

// The emulation crashes on graphs over shared weights.
Status check_sharing(const BinaryInfo& info, const Target& target) {
  if (!target.emulation || !qnn::may_share_weights(info)) return {};
  return unsupported("shared weights: " + target.library + " in emulation cannot load " +
                     std::to_string(info.graphs.size()) +
                     " graphs over shared weights; run the bundle on its device, or make it again "
                     "with \"qhx forge --emulation-twin\"");
}

}  // namespace

Target make_target(const qnn::BackendLibrary& library) {
  Target target{.library = library.path(),
                .build_id = library.build_id(),
                .backend_id = library.backend_id(),
                .emulation = library.emulates_device()};
  if (!target.emulation) target.device = qnn::read_device_info(library);
  return target;
}

DeviceInfo choose_emulated(const Model& model, const BinaryInfo& first) {
  return {.soc_model = model.soc_model != 0 ? model.soc_model : first.soc_model,
          .dsp_arch = model.dsp_arch.empty() ? first.dsp_arch : arch_number(model.dsp_arch)};
}

Status check_binary(const Model& model, const BinaryInfo& info, const Target& target,
                    bool allow_arch_mismatch, std::vector<std::string>& notes) {
  QHX_RETURN_IF_ERROR(check_backend(info, target));
  QHX_RETURN_IF_ERROR(check_chip(model, info, target, allow_arch_mismatch, notes));
  QHX_RETURN_IF_ERROR(check_build(model, info, target));
  return check_sharing(info, target);
}

bool is_newer_build(std::string_view made_by, std::string_view running) {
  const auto made = major_minor(made_by), have = major_minor(running);
  return made.has_value() && have.has_value() && *made > *have;
}

}  // namespace qhx::runtime
