#include "forge/bundle/scales.h"

#include "base/file.h"
#include "forge/bundle/output_folder.h"
#include "forge/ranges/record.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

const std::string kScalesFile = std::string(kNotePrefix) + "scales.json";

ActivationScales summarize(const hf::ModelConfig& config, const RangeReport& report) {
  return {report.plan, range_record(config, report)};
}

// Of a file that an earlier run of this program wrote; anything else counts as not there.
std::optional<ActivationScales> read_scales(const fs::path& file) {
  const auto text = read_file(file);
  if (!text.ok()) return std::nullopt;
  try {
    ordered_json json = ordered_json::parse(*text);
    ActivationScales scales;
    scales.plan = parse_plan(nlohmann::json(json.at("plan")));
    scales.record = std::move(json.at("record"));
    scales.warnings();  // throws if the record is none
    return scales;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> ActivationScales::warnings() const {
  if (record.is_null()) return {};
  return record.at("warnings").get<std::vector<std::string>>();
}

bool computes_integers(const ForgeOptions& options) {
  return measures_activations(options) && options.measure && options.integers;
}

bool measures_activations(const ForgeOptions& options) {
  return options.target.activation == QNN_DATATYPE_FLOAT_16;
}

Result<CalibrationSet> calibration_set(CalibrationUse use, const ForgeOptions& options,
                                       const hf::ModelConfig& config,
                                       std::string_view tokenizer_json,
                                       const manifest::Chat& chat) {
  CalibrationRequest request{.use = use,
                             .folder = options.calibrate,
                             .tokenizer_json = tokenizer_json,
                             .before = chat.user.first,
                             .after = chat.user.second + chat.assistant.first};
  if (options.pictures) {
    request.width = static_cast<int>(options.image.width);
    request.height = static_cast<int>(options.image.height);
  }
  return make_calibration_set(config, request);
}

Result<ActivationScales> find_scales(const ForgeOptions& options, const hf::ModelConfig& config,
                                     const hf::Checkpoint& checkpoint, const CalibrationSet& set,
                                     const fs::path& folder, ThreadPool& pool,
                                     const RangeProgress& progress) {
  if (!options.measure) return summarize(config, not_measured());
  const fs::path file = folder / kScalesFile;
  if (auto scales = read_scales(file)) return *std::move(scales);
  QHX_ASSIGN_OR_RETURN(const RangeReport report,
                       plan_scales(checkpoint, config, set, options.integers, pool, progress));
  ActivationScales scales = summarize(config, report);
  const ordered_json text = {{"plan", print_plan(scales.plan)}, {"record", scales.record}};
  QHX_RETURN_IF_ERROR(write_file(file, text.dump()));
  return scales;
}

}  // namespace qhx::forge
