#include "forge/bundle/quality.h"

#include "base/file.h"

namespace qhx::forge {
namespace {

using nlohmann::ordered_json;

ordered_json describe(const Quality& quality) {
  return {{"kl_mean", quality.mean_kl},
          {"kl_worst", quality.worst_kl},
          {"greedy_agreement", quality.agreement}};
}

}  // namespace

Result<ordered_json> write_quality(const WeightPlan& shipped, const ordered_json& rounding,
                                   const hf::ModelConfig& config, const hf::Checkpoint& checkpoint,
                                   const CalibrationSet& trial, const std::filesystem::path& folder,
                                   ThreadPool& pool,
                                   const std::function<Status(double)>& progress) {
  const std::filesystem::path file = folder / kQualityFile;
  if (const auto text = read_file(file); text.ok()) {
    ordered_json found = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!found.is_discarded()) return found;
  }
  WeightPlan nearest = shipped;
  nearest.use(nullptr);
  const WeightPlan plans[kTriedPlans] = {shipped, nearest};
  QHX_ASSIGN_OR_RETURN(const auto qualities,
                       measure_quality(checkpoint, config, trial, plans, pool, progress));
  ordered_json quality{{"inputs", trial.description},
                       {"positions", qualities.front().positions},
                       {"text_bytes", rounding.at("text_bytes")},
                       {"bits_per_weight", rounding.at("bits_per_weight")},
                       {"shipped", describe(qualities[0])},
                       {"nearest", describe(qualities[1])}};
  QHX_RETURN_IF_ERROR(write_file(file, quality.dump(2) + "\n"));
  return quality;
}

}  // namespace qhx::forge
