#include "verify/bundle.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"

namespace qhx::verify {

namespace fs = std::filesystem;

Result<std::map<std::string, ProvedFile>> proved_files(const Bundle& bundle) {
  std::map<std::string, ProvedFile> files;
  for (const auto& [name, record] : bundle.manifest.artifacts.files)
    files[name] = {record.bytes, record.sha256};
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(bundle.manifest_path));
  files[bundle.manifest_path.filename().string()] = {
      text.size(), sha256_hex(std::as_bytes(std::span(text.data(), text.size())))};
  return files;
}

Status check_files(const std::map<std::string, ProvedFile>& proved, const Bundle& bundle) {
  QHX_ASSIGN_OR_RETURN(const auto found, proved_files(bundle));
  for (const auto& [name, file] : found) {
    const auto other = proved.find(name);
    if (other == proved.end() || !(other->second == file)) {
      return corrupt(std::string(kVerifiedFile) + ": was written for another bundle: " + name +
                     " differs; verify again with --against HF_DIR --write");
    }
  }
  return {};
}

Result<reference::WeightFormat> weight_format(const Bundle& bundle, const std::string& given) {
  std::string word = given;
  if (word.empty()) {
    const fs::path file = bundle.folder / "forge.json";
    auto text = read_file(file);
    if (!text.ok()) {
      return not_found(file.string() +
                       ": cannot be read, so the weights' format is unknown: give --weights");
    }
    try {
      word = nlohmann::json::parse(*text).at("options").at("weights").get<std::string>();
    } catch (const nlohmann::json::exception& error) {
      return corrupt(file.string() + ": options.weights: " + error.what());
    }
  }
  const auto format = quant::parse_format(word);
  if (format && *format != reference::WeightFormat::kF32) return *format;
  const std::string why = "\"" + word + "\": the reference knows f16, w8 and w4";
  if (!given.empty()) return invalid_argument("--weights " + why);
  return unsupported("forge.json: options.weights " + why);
}

}  // namespace qhx::verify
