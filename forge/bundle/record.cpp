#include "forge/bundle/record.h"

#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "base/utc.h"
#include "forge/bundle/scales.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;

nlohmann::ordered_json describe_library(const qnn::BackendLibrary& library) {
  return {{"file", std::filesystem::path(library.path()).filename().string()},
          {"provider", library.provider()},
          {"build", library.build_id()},
          {"core_api", qnn::to_string(library.api_version().coreApiVersion)}};
}

nlohmann::ordered_json describe_options(const ForgeOptions& options, const std::string& model) {
  return {{"target", options.target.name},
          {"soc_model", options.target.soc_model},
          {"weights", weights_name(options)},
          {"kv", name(options.kv)},
          {"budget", options.budget ? to_string(*options.budget) : ""},
          {"rounding", rounds_weights(options) ? name(options.rounding) : name(Rounding::kNearest)},
          {"keep_rounded", options.keep_rounded},
          {"quality", tries_weights(options)},
          {"image", {options.image.width, options.image.height}},
          {"ctx", options.context_rows},
          {"prefill", prefill_rows(options)},
          {"pictures", options.pictures},
          {"emulation_twin", options.emulation_twin},
          {"integer_activations", computes_integers(options)},
          {"measure", measures_activations(options) && options.measure},
          {"dlbc", options.target.device() && options.target.htp.dlbc},
          {"prove", options.prove},
          {"name", model}};
}

// What changes when the file's content does.
nlohmann::ordered_json describe_state(const fs::path& file) {
  std::error_code error;
  return {fs::file_size(file, error), fs::last_write_time(file, error).time_since_epoch().count()};
}

double tenths(double seconds) { return std::round(seconds * 10) / 10; }

}  // namespace

std::uint64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

nlohmann::ordered_json describe_stage(const StageTime& stage) {
  nlohmann::ordered_json json{{"name", stage.name}, {"seconds", tenths(stage.seconds)}};
  if (stage.peak_bytes != 0) json["peak_resident_bytes"] = stage.peak_bytes;
  return json;
}

std::string print_record(const ForgeOptions& options, const std::string& model,
                         const qnn::BackendLibrary& library, const ForgeRecord& record) {
  nlohmann::ordered_json json;
  json["qhexrt"] = QHX_VERSION;
  json["made"] = utc_now();
  json["library"] = describe_library(library);
  json["options"] = describe_options(options, model);
  for (const auto& [file, input] : record.inputs)
    json["inputs"][file] = {{"bytes", input.bytes}, {"sha256", input.sha256}};
  double total = 0;
  for (const StageTime& stage : record.stages) {
    json["stages"].push_back(describe_stage(stage));
    total += stage.seconds;
  }
  json["seconds"] = tenths(total);
  json["peak_resident_bytes"] = record.peak_resident_bytes;
  if (!record.proofs.is_null()) json["proofs"] = record.proofs;
  if (!record.rounding.is_null()) json["rounding"] = record.rounding;
  if (!record.activations.is_null()) json["activations"] = record.activations;
  return json.dump(2) + "\n";
}

std::string work_key(const ForgeOptions& options, const qnn::BackendLibrary& library,
                     const std::string& model, const std::vector<std::filesystem::path>& inputs) {
  nlohmann::ordered_json json;
  json["qhexrt"] = QHX_VERSION;
  json["library"] = describe_library(library);
  json["options"] = describe_options(options, model);
  for (const fs::path& input : inputs)
    json["inputs"][input.filename().string()] = describe_state(input);
  if (!options.calibrate.empty()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options.calibrate, error))
      json["calibration"][entry.path().filename().string()] = describe_state(entry.path());
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace qhx::forge
