#include "forge/ranges/ranges.h"

#include <algorithm>

#include "forge/ranges/calibration_pass.h"
#include "forge/ranges/choose.h"
#include "forge/ranges/choose_integers.h"

namespace qhx::forge {

Result<RangeTable> measure_ranges(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                  const CalibrationSet& set, ThreadPool& pool,
                                  const RangeProgress& progress) {
  RangeTable ranges;
  const auto observer = [&](const reference::Stage& stage, const reference::Matrix& value) {
    ranges[stage.name()].add(value.values);
  };
  const double all = calibration_products(config, set);
  double done = 0;
  const auto advance = [&](double products) {
    done += products;
    return progress(std::min(1.0, done / all));
  };
  QHX_RETURN_IF_ERROR(
      run_calibration(checkpoint, config, set, pool, {observer, observer, {}, advance}));
  return ranges;
}

Result<RangeReport> plan_scales(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                const CalibrationSet& set, bool integers, ThreadPool& pool,
                                const RangeProgress& progress) {
  RangeReport report;
  report.inputs = set.description;
  QHX_ASSIGN_OR_RETURN(report.ranges, measure_ranges(checkpoint, config, set, pool, progress));
  report.plan = choose_scales(config, report.ranges);
  if (integers) {
    IntegerChoice choice = choose_integers(config, report.ranges, report.plan);
    report.plan.integers = std::move(choice.plan);
    report.floats = std::move(choice.kept);
  }
  report.warnings = range_warnings(config, report.ranges, report.plan);
  QHX_ASSIGN_OR_RETURN(const std::vector<std::string> norms,
                       norm_warnings(config, checkpoint, report.plan));
  report.warnings.insert(report.warnings.end(), norms.begin(), norms.end());
  return report;
}

RangeReport not_measured() {
  RangeReport report;
  report.warnings.push_back(
      "activation ranges were not measured (--no-calibrate): 16-bit floats may overflow");
  return report;
}

}  // namespace qhx::forge
