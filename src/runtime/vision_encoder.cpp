#include "runtime/vision_encoder.h"

#include <algorithm>
#include <string>

namespace qhx::runtime {
namespace {

std::uint32_t u32(std::size_t value) { return static_cast<std::uint32_t>(value); }

vision::PatchParams patch_params(const manifest::Vision& from) {
  vision::PatchParams params;
  params.patch = static_cast<int>(from.patch);
  params.merge = static_cast<int>(from.merge);
  params.temporal = static_cast<int>(from.temporal);
  params.mean = from.mean;
  params.std = from.std;
  return params;
}

// Bytes of a mapping as floats; kCorrupt unless there are exactly `count`.
Result<std::span<const float>> floats(const MappedFile& file, std::size_t count,
                                      std::string_view key) {
  if (file.size() != count * sizeof(float)) {
    return corrupt(std::string(key) + ": expected " + std::to_string(count * sizeof(float)) +
                   " bytes (f32), found " + std::to_string(file.size()));
  }
  return std::span(reinterpret_cast<const float*>(file.bytes().data()), count);
}

Status check_input(const manifest::Manifest& manifest, const qnn::GraphInfo& graph,
                   VisionSpec& spec) {
  const std::string where = "graph " + graph.name + ": input patches";
  const qnn::TensorInfo* input = find_or_only(graph.inputs, "patches");
  if (input == nullptr || graph.inputs.size() != 1)
    return unsupported(where + ": expected it to be the only input");
  const std::size_t patches = spec.grid.patches();
  if (input->element_count() % patches != 0) {
    return corrupt(where + ": " + qnn::to_string(input->dims) + " does not hold the " +
                   std::to_string(patches) + " patches that vision.image gives");
  }
  spec.input_width = input->element_count() / patches;
  spec.stage_f = !manifest.artifacts.patch_embed.empty();
  const std::size_t wanted =
      spec.stage_f ? manifest.vision->hidden : spec.patch_values;  // 0: not recorded
  const std::uint32_t width = u32(wanted == 0 ? spec.input_width : wanted);
  return expect_shape(input, {u32(patches), width}, where,
                      spec.stage_f ? "vision.image, vision.patch and vision.hidden"
                                   : "vision.image, vision.patch and vision.temporal");
}

Status check_outputs(const qnn::GraphInfo& graph, const TextSpec& text, VisionSpec& spec) {
  const std::vector<std::uint32_t> rows = {u32(spec.tokens), u32(spec.hidden)};
  const std::string where = "graph " + graph.name + ": output ";
  QHX_RETURN_IF_ERROR(expect_shape(graph.output("image_embeds"), rows, where + "image_embeds",
                                   "vision.image, vision.merge and params.hidden"));
  while (graph.output(deepstack_name(spec.deepstack)) != nullptr) {
    const std::string name = deepstack_name(spec.deepstack++);
    QHX_RETURN_IF_ERROR(expect_shape(graph.output(name), rows, where + name,
                                     "vision.image, vision.merge and params.hidden"));
  }
  if (graph.outputs.size() != 1 + spec.deepstack)
    return unsupported("graph " + graph.name + ": has outputs of unknown names");
  if (spec.deepstack != text.deepstack) {
    return corrupt("graph " + graph.name + ": gives " + std::to_string(spec.deepstack) +
                   " deepstack outputs, the prefill graph takes " + std::to_string(text.deepstack));
  }
  return {};
}

}  // namespace

Result<VisionSpec> make_vision_spec(const manifest::Manifest& manifest, const qnn::GraphInfo& graph,
                                    const TextSpec& text) {
  const manifest::Vision& from = *manifest.vision;
  VisionSpec spec;
  spec.params = patch_params(from);
  QHX_ASSIGN_OR_RETURN(spec.grid, vision::patch_grid(static_cast<int>(from.width),
                                                     static_cast<int>(from.height), spec.params));
  spec.patch_values = vision::patch_values(spec.params);
  spec.position_grid = from.position_grid;
  spec.tokens = from.tokens();
  spec.hidden = text.hidden;
  QHX_RETURN_IF_ERROR(check_input(manifest, graph, spec));
  QHX_RETURN_IF_ERROR(check_outputs(graph, text, spec));
  if (spec.stage_f && spec.position_grid == 0)
    return unsupported("vision.position_grid: missing, and artifacts.patch_embed needs it");
  return spec;
}

Status VisionEncoder::load_tables(Loaded& loaded) const {
  QHX_ASSIGN_OR_RETURN(loaded.patch, files_.map(artifacts_.patch_embed, "artifacts.patch_embed"));
  QHX_ASSIGN_OR_RETURN(loaded.bias,
                       files_.map(artifacts_.patch_embed_bias, "artifacts.patch_embed_bias"));
  QHX_ASSIGN_OR_RETURN(loaded.positions, files_.map(artifacts_.pos_embed, "artifacts.pos_embed"));
  vision::StageF::Weights weights;
  weights.hidden = spec_.input_width;
  weights.side = spec_.position_grid;
  QHX_ASSIGN_OR_RETURN(weights.patch, floats(loaded.patch, weights.hidden * spec_.patch_values,
                                             "artifacts.patch_embed"));
  QHX_ASSIGN_OR_RETURN(weights.bias,
                       floats(loaded.bias, weights.hidden, "artifacts.patch_embed_bias"));
  QHX_ASSIGN_OR_RETURN(weights.positions,
                       floats(loaded.positions, weights.side * weights.side * weights.hidden,
                              "artifacts.pos_embed"));
  loaded.stage_f.emplace(weights, spec_.params, vision::StageF::TimeSlices::kSummed);
  return {};
}

Status VisionEncoder::bind(Loaded& loaded) const {
  const qnn::GraphInfo& info = loaded.executor->info();
  const qnn::TensorInfo& input = *find_or_only(info.inputs, "patches");
  const qnn::TensorMemory memory = graphs_.memory();
  QHX_ASSIGN_OR_RETURN(loaded.input, FloatTensor::create(input, memory));
  QHX_ASSIGN_OR_RETURN(loaded.embeds, FloatTensor::create(*info.output("image_embeds"), memory));
  std::vector<std::string> names;
  for (std::size_t k = 0; k < spec_.deepstack; ++k) {
    names.push_back(deepstack_name(k));
    QHX_ASSIGN_OR_RETURN(FloatTensor tensor,
                         FloatTensor::create(*info.output(names.back()), memory));
    loaded.deepstack.push_back(std::move(tensor));
  }
  std::vector<NamedBuffer> buffers = {{input.name, loaded.input.bytes()},
                                      {"image_embeds", loaded.embeds.bytes()}};
  for (std::size_t k = 0; k < spec_.deepstack; ++k)
    buffers.push_back({names[k], loaded.deepstack[k].bytes()});
  QHX_ASSIGN_OR_RETURN(loaded.graph, loaded.executor->bind(buffers));
  return {};
}

Status VisionEncoder::load() {
  auto loaded = std::make_unique<Loaded>(threads_);
  if (spec_.stage_f) QHX_RETURN_IF_ERROR(load_tables(*loaded));
  QHX_ASSIGN_OR_RETURN(loaded->executor, graphs_.open(Role::kVision));
  QHX_RETURN_IF_ERROR(bind(*loaded));
  if (spec_.stage_f) loaded->patch_rows.resize(spec_.grid.patches() * spec_.patch_values);
  loaded_ = std::move(loaded);
  return {};
}

Result<ImageFeatures> VisionEncoder::encode(const vision::Image& image, VisionObserver* observer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (loaded_ == nullptr) QHX_RETURN_IF_ERROR(load());
  Loaded& l = *loaded_;
  const std::span<float> input = l.input.floats();
  const std::span<float> patches = spec_.stage_f ? std::span<float>(l.patch_rows) : input;
  const std::size_t rows = spec_.grid.patches();
  vision::extract_patches(image, spec_.params, patches);
  if (observer != nullptr)
    QHX_RETURN_IF_ERROR(observer->patches(patches, rows, spec_.patch_values));
  if (spec_.stage_f) l.stage_f->embed(patches, spec_.grid, l.pool, input);
  if (observer != nullptr) QHX_RETURN_IF_ERROR(observer->vision_in(input, rows, spec_.input_width));
  l.input.store();
  const Status executed = l.graph->execute();
  l.executor->rest();
  QHX_RETURN_IF_ERROR(executed);
  ImageFeatures features;
  features.tokens = spec_.tokens;
  const auto take = [](FloatTensor& tensor) {
    tensor.load();
    return std::vector<float>(tensor.floats().begin(), tensor.floats().end());
  };
  features.embeds = take(l.embeds);
  for (FloatTensor& tensor : l.deepstack) features.deepstack.push_back(take(tensor));
  if (observer != nullptr) QHX_RETURN_IF_ERROR(observer->features(features, spec_.hidden));
  return features;
}

}  // namespace qhx::runtime
