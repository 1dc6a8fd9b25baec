#include "verify/bundle.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "forge/bundle/rounding.h"
#include "forge/quant/rounded_weights.h"

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

namespace {

// Rounding to the nearest can be repeated; what was compensated must be there.
Status add_rounded(const fs::path& folder, bool compensated, reference::WeightPlan& plan) {
  const fs::path file = folder / forge::kRoundedFile;
  std::error_code error;
  if (fs::exists(file, error)) {
    QHX_ASSIGN_OR_RETURN(auto rounded, quant::RoundedWeights::open(file));
    plan.use(std::move(rounded));
    return {};
  }
  if (!compensated) return {};
  return unsupported(file.string() +
                     ": no such file: the weights of this bundle were rounded by what their inputs "
                     "were, and without them there is nothing to compare with; forge with "
                     "--keep-rounded");
}

}  // namespace

Result<reference::WeightPlan> weight_plan(const Bundle& bundle, const std::string& given) {
  std::string word = given;
  bool compensated = false;
  nlohmann::ordered_json rounding;
  if (word.empty()) {
    const fs::path file = bundle.folder / "forge.json";
    auto text = read_file(file);
    if (!text.ok()) {
      return not_found(file.string() +
                       ": cannot be read, so the weights' format is unknown: give --weights");
    }
    try {
      const auto record = nlohmann::ordered_json::parse(*text);
      const nlohmann::ordered_json& options = record.at("options");
      rounding = record.value("rounding", nlohmann::ordered_json());
      word = options.at("weights").get<std::string>();
      compensated = options.value("rounding", "nearest") == "compensated";
    } catch (const nlohmann::json::exception& error) {
      return corrupt(file.string() + ": options.weights: " + error.what());
    }
  }
  if (word == "auto") {
    auto plan = forge::parse_formats(rounding);
    if (!plan.ok()) return plan.status().with_context("forge.json");
    QHX_RETURN_IF_ERROR(add_rounded(bundle.folder, compensated, *plan));
    return plan;
  }
  const auto format = quant::parse_format(word);
  if (format && *format != reference::WeightFormat::kF32) {
    reference::WeightPlan plan = *format;
    if (*format == reference::WeightFormat::kW4)
      QHX_RETURN_IF_ERROR(add_rounded(bundle.folder, compensated, plan));
    return plan;
  }
  const std::string why = "\"" + word + "\": the reference knows f16, w8, w4 and auto";
  if (!given.empty()) return invalid_argument("--weights " + why);
  return unsupported("forge.json: options.weights " + why);
}

}  // namespace qhx::verify
