#include "forge/ranges/ranges.h"

#include <algorithm>

#include "forge/ranges/choose.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

// Inputs of the text model; positions are kept here, the rest belongs to the set.
struct TextInputs {
  std::vector<vision::MropePositions> positions;
  std::vector<reference::TextInput> inputs;
};

Result<TextInputs> text_inputs(const hf::ModelConfig& config, const CalibrationSet& set,
                               std::span<const reference::VisionOutput> pictures) {
  TextInputs all;
  const auto merge = static_cast<int>(config.vision.spatial_merge_size);
  for (const CalibrationSet::Prompt& prompt : set.prompts) {
    std::vector<vision::Grid> grids;
    if (prompt.picture) grids.push_back(set.pictures[*prompt.picture].grid);
    QHX_ASSIGN_OR_RETURN(
        vision::MropePositions positions,
        vision::mrope_positions(prompt.tokens, config.image_token_id, grids, merge));
    all.positions.push_back(std::move(positions));
  }
  for (std::size_t i = 0; i < set.prompts.size(); ++i) {
    const auto& picture = set.prompts[i].picture;
    all.inputs.push_back({set.prompts[i].tokens, all.positions[i].ids, all.positions[i].delta,
                          picture ? &pictures[*picture] : nullptr});
  }
  return all;
}

double text_products(const hf::ModelConfig& config, const CalibrationSet& set) {
  std::vector<reference::TextInput> inputs;
  for (const CalibrationSet::Prompt& prompt : set.prompts)
    inputs.push_back({prompt.tokens, {}, 0, nullptr});
  return reference::TextModel::products(config.text, inputs);
}

}  // namespace

double calibration_products(const hf::ModelConfig& config, const CalibrationSet& set) {
  return reference::VisionModel::products(config.vision, set.pictures) + text_products(config, set);
}

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
  std::vector<reference::VisionOutput> pictures;
  if (!set.pictures.empty()) {
    QHX_ASSIGN_OR_RETURN(
        pictures, reference::VisionModel::stream(config, checkpoint, reference::WeightFormat::kF32,
                                                 set.pictures, pool, observer, advance));
  }
  QHX_ASSIGN_OR_RETURN(const TextInputs texts, text_inputs(config, set, pictures));
  QHX_RETURN_IF_ERROR(reference::TextModel::stream(config, checkpoint,
                                                   reference::WeightFormat::kF32, texts.inputs,
                                                   pool, observer, advance)
                          .status());
  return ranges;
}

Result<RangeReport> plan_scales(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                const CalibrationSet& set, ThreadPool& pool,
                                const RangeProgress& progress) {
  RangeReport report;
  report.inputs = set.description;
  QHX_ASSIGN_OR_RETURN(report.ranges, measure_ranges(checkpoint, config, set, pool, progress));
  report.plan = choose_scales(config, report.ranges);
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
