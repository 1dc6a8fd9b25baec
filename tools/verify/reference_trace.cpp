#include "verify/reference_trace.h"

#include <algorithm>

#include "reference/forward.h"
#include "vision/positions.h"

namespace qhx::verify {
namespace {

using reference::Matrix;

Result<std::optional<vision::Grid>> grid_of(const ReferenceRun& run, const Input& input) {
  if (!input.picture.has_value()) return std::optional<vision::Grid>();
  QHX_ASSIGN_OR_RETURN(
      const vision::Grid grid,
      vision::patch_grid(input.picture->width, input.picture->height, run.patches));
  return std::optional(grid);
}

reference::Progress progress_of(const Advance& advance, const char* stage) {
  return [&advance, stage](double products) {
    advance(products, stage);
    return Status();
  };
}

Result<reference::VisionOutput> run_picture(const ReferenceRun& run,
                                            const reference::WeightPlan& plan,
                                            const vision::Image& image, vision::Grid grid,
                                            ThreadPool& pool, const Advance& advance,
                                            Trace& trace) {
  reference::PictureInput picture{Matrix(grid.patches(), vision::patch_values(run.patches)), grid};
  vision::extract_patches(image, run.patches, picture.patches.values);
  QHX_ASSIGN_OR_RETURN(auto outputs, reference::VisionModel::stream(
                                         run.config, run.checkpoint, plan, std::span(&picture, 1),
                                         pool, {}, progress_of(advance, "reference: picture")));
  reference::VisionOutput& out = outputs.front();
  trace.stages.push_back({"vision_in", out.vision_in.values});
  trace.stages.push_back({"image_embeds", out.image_embeds.values});
  for (std::size_t k = 0; k < out.deepstack.size(); ++k)
    trace.stages.push_back({"deepstack_" + std::to_string(k), out.deepstack[k].values});
  return std::move(out);
}

void keep(const reference::TextOutput& out, std::string hidden, Trace& trace) {
  const Matrix& rows = out.hidden;
  const float* last = rows.row(rows.rows - 1);
  trace.stages.push_back({std::move(hidden), {last, last + rows.columns}});
  trace.stages.push_back({numbered("logits", trace.steps.size()), out.logits});
  trace.steps.push_back(best_of(out.logits));
}

}  // namespace

Result<double> reference_work(const ReferenceRun& run, const Input& input, std::size_t tokens) {
  using reference::TextModel;
  const hf::TextConfig& text = run.config.text;
  double work = TextModel::load_products(text);
  QHX_ASSIGN_OR_RETURN(const auto grid, grid_of(run, input));
  if (grid) {
    const reference::PictureInput picture{Matrix(grid->patches(), 0), *grid};
    work += reference::VisionModel::products(run.config.vision, std::span(&picture, 1));
  }
  const reference::TextInput prompt{input.prompt_ids, {}, 0, nullptr};
  const std::int32_t id = 0;
  const reference::TextInput token{std::span(&id, 1), {}, 0, nullptr};
  return work + TextModel::products(text, std::span(&prompt, 1)) +
         static_cast<double>(tokens - 1) * TextModel::products(text, std::span(&token, 1));
}

Result<Trace> trace_reference(const ReferenceRun& run, const reference::WeightPlan& plan,
                              Input& input, std::size_t tokens,
                              const std::vector<std::int32_t>& stop_ids, ThreadPool& pool,
                              const Advance& advance) {
  Trace trace;
  std::vector<vision::Grid> grids;
  std::optional<reference::VisionOutput> picture;
  QHX_ASSIGN_OR_RETURN(const auto grid, grid_of(run, input));
  if (grid) {
    grids.push_back(*grid);
    advance(0, "reference: picture");
    QHX_ASSIGN_OR_RETURN(picture,
                         run_picture(run, plan, *input.picture, *grid, pool, advance, trace));
  }
  QHX_ASSIGN_OR_RETURN(
      const vision::MropePositions positions,
      vision::mrope_positions(input.prompt_ids, run.config.image_token_id, grids,
                              static_cast<int>(run.config.vision.spatial_merge_size)));
  QHX_ASSIGN_OR_RETURN(const auto model,
                       reference::TextModel::load(run.config, run.checkpoint, plan,
                                                  progress_of(advance, "reference: text weights")));
  reference::KvCache cache;
  QHX_ASSIGN_OR_RETURN(reference::TextOutput out,
                       model.prefill({input.prompt_ids, positions.ids, positions.delta,
                                      picture ? &*picture : nullptr},
                                     cache, pool, {}, progress_of(advance, "reference: prompt")));
  keep(out, "hidden_prefill", trace);
  const bool choose = input.answer_ids.empty();
  for (std::size_t step = 0;; ++step) {
    if (choose) input.answer_ids.push_back(trace.steps.back()[0].first);
    const std::int32_t id = input.answer_ids[step];
    const bool stop = std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end();
    if (choose ? stop || step + 1 >= tokens : step + 1 >= input.answer_ids.size()) break;
    QHX_ASSIGN_OR_RETURN(
        out, model.decode_step(id, cache, pool, progress_of(advance, "reference: answer")));
    keep(out, numbered("hidden", step + 1), trace);
  }
  return trace;
}

}  // namespace qhx::verify
