#include "forge/bundle/costs.h"

#include <algorithm>

#include "forge/bundle/proof.h"
#include "forge/bundle/quality.h"
#include "forge/ranges/calibration_pass.h"
#include "forge/rounding/round_model.h"

namespace qhx::forge {
namespace {

// Measured, as all that follows: converting one weight.
constexpr double kSeconds = 1e-8;
// Of a weight: putting it into a table; finalizing and writing it, by our library and by the
// vendor's, there by graph: with several rows, with one row, and the lm-head.
constexpr double kTable = 0.8, kFinish = 1.0;
constexpr double kDeviceRows = 17.0, kDeviceRow = 7.0, kDeviceHead = 3.0;
// Graphs over shared weights take longer together than each for itself.
constexpr double kDeviceShared = 3.0;
constexpr double kChecksumByte = 0.15;
constexpr double kProduct = 0.05;  // of the reference

constexpr double kPatience = 6.0;  // times the expected time: other programs may run
constexpr std::chrono::duration<double> kLeastPatience{600.0};

}  // namespace

double Costs::stored_bytes(std::span<const ContextJob> jobs) const {
  const WeightFormat most = options_.budget ? WeightFormat::kW8 : options_.weights;
  double stored = 0;
  for (const ContextJob& job : jobs) {
    const bool apart =
        job.kind == ContextKind::kText && options_.target.device() && !job.share_weights;
    const auto copies = apart ? text_spec(options_, config_).graphs.size() : 1;
    stored += forge::stored_bytes(job.kind, config_, most) * static_cast<double>(copies);
  }
  return stored;
}

double Costs::measuring(const CalibrationSet& set) const {
  return calibration_products(config_, set) * kProduct;
}

double Costs::rounding(const CalibrationSet& set) const {
  return rounding_products(config_, set) * kProduct;
}

double Costs::quality(const CalibrationSet& trial) const {
  return quality_products(config_, trial, kTriedPlans) * kProduct;
}

double Costs::table() const { return table_weights() * kTable; }

double Costs::checksum(double bytes) { return bytes * kChecksumByte; }

double Costs::of(std::chrono::duration<double> time) { return time.count() / kSeconds; }

double Costs::proof_seconds(const ContextJob& job) const {
  if (!options_.prove) return 0;
  if (job.kind == ContextKind::kHead) return emulation_seconds(weights(job), 1);
  if (job.kind == ContextKind::kVision)
    return emulation_seconds(weights(job), patch_grid(options_, config_).patches());
  double seconds = 0;
  for (const TextGraphSpec& graph : text_spec(options_, config_).graphs)
    seconds += emulation_seconds(weights(job), graph.rows);
  return seconds;
}

double Costs::finishing(const ContextJob& job) const {
  if (!options_.target.device()) return weights(job) * kFinish;
  double cost = 0;
  if (job.kind == ContextKind::kHead) {
    cost = kDeviceHead;
  } else if (job.kind == ContextKind::kVision) {
    cost = kDeviceRows;
  } else {
    for (const TextGraphSpec& graph : text_spec(options_, config_).graphs)
      cost += graph.rows > 1 ? kDeviceRows : kDeviceRow;
    if (job.share_weights) cost *= kDeviceShared;
  }
  return weights(job) * cost + of(std::chrono::duration<double>(proof_seconds(job)));
}

std::chrono::seconds Costs::patience(const ContextJob& job) const {
  const std::chrono::duration<double> expected(finishing(job) * kSeconds);
  return std::chrono::duration_cast<std::chrono::seconds>(
      std::max(kLeastPatience, expected * kPatience));
}

}  // namespace qhx::forge
