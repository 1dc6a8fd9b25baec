#include "forge/bundle/rounding.h"

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "forge/bundle/output_folder.h"
#include "forge/quant/rounded_weights.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

const std::string kErrorsFile = std::string(kNotePrefix) + "rounding.json";

fs::path rounded_file(const ForgeOptions& options, const fs::path& folder) {
  return folder / (options.keep_rounded ? kRoundedFile : std::string(kNotePrefix) + kRoundedFile);
}

// Four significant digits: these are for people.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return std::strtod(text, nullptr);
}

ordered_json describe(const std::vector<RoundingErrors>& errors, const std::string& inputs) {
  ordered_json json{{"inputs", inputs}, {"errors", ordered_json::object()}};
  for (const RoundingErrors& each : errors) {
    json["errors"][each.tensor] = {{"compensated", rounded(each.compensated)},
                                   {"nearest", rounded(each.nearest)},
                                   {"int8", rounded(each.int8)}};
  }
  return json;
}

}  // namespace

Result<ordered_json> round_weights(const ForgeOptions& options, const hf::ModelConfig& config,
                                   const hf::Checkpoint& checkpoint, const CalibrationSet& set,
                                   const fs::path& folder, ThreadPool& pool,
                                   const RoundingProgress& progress) {
  // The note is written last, so where it is the weights are.
  if (const auto text = read_file(folder / kErrorsFile); text.ok()) {
    ordered_json record = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!record.is_discarded()) return record;
  }
  QHX_ASSIGN_OR_RETURN(const std::vector<RoundingErrors> errors,
                       round_model(checkpoint, config, options.weights, set,
                                   rounded_file(options, folder), pool, progress));
  ordered_json record = describe(errors, set.description);
  QHX_RETURN_IF_ERROR(write_file(folder / kErrorsFile, record.dump()));
  return record;
}

Result<WeightPlan> weight_plan(const ForgeOptions& options, const fs::path& folder) {
  WeightPlan plan = options.weights;
  if (rounds_weights(options)) {
    QHX_ASSIGN_OR_RETURN(auto weights, quant::RoundedWeights::open(rounded_file(options, folder)));
    plan.use(std::move(weights));
  }
  return plan;
}

}  // namespace qhx::forge
