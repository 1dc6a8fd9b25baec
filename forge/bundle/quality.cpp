#include "forge/bundle/quality.h"

#include "base/file.h"
#include "forge/bundle/contexts.h"

namespace qhx::forge {
namespace {

using nlohmann::ordered_json;

ordered_json describe(const Quality& quality) {
  return {{"kl_mean", quality.mean_kl},
          {"kl_worst", quality.worst_kl},
          {"greedy_agreement", quality.agreement}};
}

}  // namespace

Result<ordered_json> write_quality(const WeightPlan& shipped, const hf::ModelConfig& config,
                                   const hf::Checkpoint& checkpoint, const CalibrationSet& trial,
                                   const std::filesystem::path& folder, ThreadPool& pool,
                                   const std::function<Status(double)>& progress) {
  const std::filesystem::path file = folder / kQualityFile;
  if (const auto text = read_file(file); text.ok()) {
    ordered_json found = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!found.is_discarded()) return found;
  }
  std::vector<WeightPlan> plans = {shipped};
  if (shipped.rounds_before()) plans.emplace_back(shipped).use(nullptr);
  QHX_ASSIGN_OR_RETURN(const auto qualities,
                       measure_quality(checkpoint, config, trial, plans, pool, progress));
  const ContextWeights weights(config);
  const double bytes = stored_bytes(ContextKind::kText, config, shipped) +
                       stored_bytes(ContextKind::kHead, config, shipped);
  ordered_json quality{{"inputs", trial.description},
                       {"positions", qualities.front().positions},
                       {"text_bytes", static_cast<std::uint64_t>(bytes)},
                       {"bits_per_weight", bytes * 8 / (weights.text + weights.head)},
                       {"shipped", describe(qualities.front())}};
  if (qualities.size() > 1) quality["nearest"] = describe(qualities.back());
  QHX_RETURN_IF_ERROR(write_file(file, quality.dump(2) + "\n"));
  return quality;
}

}  // namespace qhx::forge
