#include "forge/ranges/calibration_pass.h"

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

}  // namespace

double text_products(const hf::ModelConfig& config, const CalibrationSet& set) {
  std::vector<reference::TextInput> inputs;
  for (const CalibrationSet::Prompt& prompt : set.prompts)
    inputs.push_back({prompt.tokens, {}, 0, nullptr});
  return reference::TextModel::products(config.text, inputs);
}

double calibration_products(const hf::ModelConfig& config, const CalibrationSet& set) {
  return reference::VisionModel::products(config.vision, set.pictures) + text_products(config, set);
}

Result<PictureOutputs> run_pictures(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                                    const CalibrationSet& set, ThreadPool& pool,
                                    const CalibrationObserver& observer) {
  if (set.pictures.empty()) return PictureOutputs();
  return reference::VisionModel::stream(config, checkpoint, reference::WeightFormat::kF32,
                                        set.pictures, pool, observer.vision, observer.progress);
}

Result<std::vector<reference::TextOutput>> run_texts(
    const hf::Checkpoint& checkpoint, const hf::ModelConfig& config, const CalibrationSet& set,
    const PictureOutputs& pictures, const reference::WeightPlan& plan, ThreadPool& pool,
    const CalibrationObserver& observer) {
  QHX_ASSIGN_OR_RETURN(const TextInputs texts, text_inputs(config, set, pictures));
  // Progress comes once for each prompt in each layer.
  std::size_t calls = 0;
  const auto progress = [&](double products) -> Status {
    QHX_RETURN_IF_ERROR(observer.progress(products));
    if (++calls % texts.inputs.size() != 0 || !observer.layer_done) return {};
    return observer.layer_done(calls / texts.inputs.size() - 1);
  };
  return reference::TextModel::stream(config, checkpoint, plan, texts.inputs, pool, observer.text,
                                      progress);
}

Status run_calibration(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
                       const CalibrationSet& set, ThreadPool& pool,
                       const CalibrationObserver& observer) {
  QHX_ASSIGN_OR_RETURN(const PictureOutputs pictures,
                       run_pictures(checkpoint, config, set, pool, observer));
  return run_texts(checkpoint, config, set, pictures, reference::WeightFormat::kF32, pool, observer)
      .status();
}

}  // namespace qhx::forge
