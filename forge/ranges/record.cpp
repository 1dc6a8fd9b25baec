#include "forge/ranges/record.h"

#include <cstdio>
#include <cstdlib>

#include "forge/ranges/stages.h"

namespace qhx::forge {
namespace {

// Four significant digits: these are for people.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return std::strtod(text, nullptr);
}

}  // namespace

nlohmann::ordered_json range_record(const hf::ModelConfig& config, const RangeReport& report) {
  nlohmann::ordered_json record;
  record["inputs"] = report.inputs;
  record["warnings"] = report.warnings;
  record["scaled"] = nlohmann::ordered_json::object();
  record["tensors"] = nlohmann::ordered_json::object();
  for (const MeasuredStage& stage : measured_stages(config)) {
    const auto found = report.ranges.find(stage.name);
    if (found == report.ranges.end()) continue;
    const Range& range = found->second;
    record["tensors"][stage.name] = {{"max", rounded(static_cast<double>(range.largest()))},
                                     {"rms", rounded(range.rms())},
                                     {"median", rounded(static_cast<double>(range.median()))}};
    if (const int exponent = stage.exponent(report.plan); exponent != 0)
      record["scaled"][stage.name] = exponent;
  }
  return record;
}

}  // namespace qhx::forge
