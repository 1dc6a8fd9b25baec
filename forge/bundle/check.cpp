#include "forge/bundle/check.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/file.h"
#include "base/mapped_file.h"
#include "qnn/binary_info.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using manifest::Manifest;
using qnn::GraphInfo;

using Dims = std::vector<std::uint32_t>;

// Tensors that a graph must have, by name.
using Tensors = std::map<std::string, Dims>;

Status check_tensors(const Tensors& expected, const std::vector<qnn::TensorInfo>& found,
                     const char* kind) {
  if (expected.size() != found.size()) {
    return corrupt(std::string(kind) + "s: expected " + std::to_string(expected.size()) +
                   ", found " + std::to_string(found.size()));
  }
  for (const qnn::TensorInfo& tensor : found) {
    const auto wanted = expected.find(tensor.name);
    const std::string shown = std::string(kind) + " " + tensor.name;
    if (wanted == expected.end()) return corrupt(shown + ": is not expected here");
    if (wanted->second != tensor.dims)
      return corrupt(shown + ": expected " + qnn::to_string(wanted->second) + ", found " +
                     qnn::to_string(tensor.dims));
  }
  return {};
}

Status check_graph(const qnn::BinaryInfo& binary, const std::string& name, const Tensors& inputs,
                   const Tensors& outputs) {
  const GraphInfo* graph = binary.graph(name);
  if (graph == nullptr) return not_found("graph " + name + ": is not in the binary");
  QHX_RETURN_IF_ERROR(check_tensors(inputs, graph->inputs, "input").with_context("graph " + name));
  return check_tensors(outputs, graph->outputs, "output").with_context("graph " + name);
}

// An input of two dimensions.
Result<Dims> shape_of_input(const qnn::BinaryInfo& binary, const std::string& graph,
                            const char* input) {
  const GraphInfo* info = binary.graph(graph);
  const qnn::TensorInfo* tensor = info == nullptr ? nullptr : info->input(input);
  if (tensor != nullptr && tensor->dims.size() == 2) return tensor->dims;
  return not_found("graph " + graph + " with an input " + input +
                   " of two dimensions: is not in the binary");
}

// `context`: rows of the cache. Rows of one call: the input x tells.
Status check_text_graph(const qnn::BinaryInfo& binary, const Manifest& m, const std::string& name,
                        std::uint32_t context, std::size_t deepstacks) {
  QHX_ASSIGN_OR_RETURN(const Dims x, shape_of_input(binary, name, "x"));
  const manifest::Params& p = m.params;
  const std::uint32_t rows = x[0];
  Tensors inputs = {{"x", {rows, p.hidden}},
                    {"cos", {rows, p.head_dim / 2}},
                    {"sin", {rows, p.head_dim / 2}},
                    {"mask", {rows, context + rows}}};
  Tensors outputs = {{"y", {rows, p.hidden}}};
  for (std::uint32_t i = 0; i < p.n_layers; ++i) {
    for (const char* kind : {"_k_", "_v_"}) {
      inputs["past" + (kind + std::to_string(i))] = {p.n_kv_heads, context, p.head_dim};
      outputs["new" + (kind + std::to_string(i))] = {p.n_kv_heads, rows, p.head_dim};
      if (m.kv.dtype != "i8") continue;
      const std::string scale = kind + ("scale_" + std::to_string(i));
      inputs["past" + scale] = {p.n_kv_heads, context, 1};
      outputs["new" + scale] = {p.n_kv_heads, rows, 1};
    }
  }
  for (std::size_t k = 0; k < deepstacks; ++k)
    inputs["deepstack_" + std::to_string(k)] = {rows, p.hidden};
  return check_graph(binary, name, inputs, outputs);
}

// One of plan.params.graphs: its mask tells the context.
Status check_further_graph(const qnn::BinaryInfo& binary, const Manifest& m,
                           const std::string& name, std::size_t deepstacks) {
  QHX_ASSIGN_OR_RETURN(const Dims mask, shape_of_input(binary, name, "mask"));
  const std::uint32_t rows = mask[0], context = mask[1] - std::min(mask[1], rows);
  if (context == 0 || context > m.params.max_ctx) {
    return corrupt("graph " + name + ": input mask: " + qnn::to_string(mask) +
                   " is no context of at most " + std::to_string(m.params.max_ctx) + " rows");
  }
  return check_text_graph(binary, m, name, context, rows == 1 ? 0 : deepstacks);
}

Status check_text_graphs(const qnn::BinaryInfo& binary, const Manifest& m, std::size_t deepstacks) {
  const std::uint32_t context = m.params.max_ctx;
  if (!m.plan.prefill.empty())
    QHX_RETURN_IF_ERROR(check_text_graph(binary, m, m.plan.prefill, context, deepstacks));
  QHX_RETURN_IF_ERROR(check_text_graph(binary, m, m.plan.decode, context, 0));
  for (const std::string& graph : m.plan.graphs)
    QHX_RETURN_IF_ERROR(check_further_graph(binary, m, graph, deepstacks));
  return {};
}

// Deepstack features that the prefill graph takes.
std::size_t count_deepstacks(const qnn::BinaryInfo& binary, const std::string& graph) {
  std::size_t count = 0;
  if (const GraphInfo* info = binary.graph(graph)) {
    for (const qnn::TensorInfo& input : info->inputs) count += input.name.starts_with("deepstack_");
  }
  return count;
}

Status check_vision_graph(const qnn::BinaryInfo& binary, const Manifest& m,
                          std::size_t deepstacks) {
  Tensors outputs = {{"image_embeds", {m.vision->tokens(), m.params.hidden}}};
  for (std::size_t k = 0; k < deepstacks; ++k)
    outputs["deepstack_" + std::to_string(k)] = {m.vision->tokens(), m.params.hidden};
  return check_graph(binary, m.plan.vision, {{"patches", {m.vision->patches(), m.vision->hidden}}},
                     outputs);
}

// What the library says of the chip and of itself, against what it was asked for.
Status check_origin(const qnn::BinaryInfo& binary, const manifest::Model& model) {
  if (binary.build_id != model.qnn_build)
    return corrupt("made by build " + binary.build_id + ", but the manifest says " +
                   model.qnn_build);
  const std::string arch = "v" + std::to_string(binary.dsp_arch);
  if (binary.soc_model != model.soc_model || (binary.dsp_arch != 0 && arch != model.dsp_arch))
    return corrupt("made for SoC " + std::to_string(binary.soc_model) + " (" + arch +
                   "), but asked for was SoC " + std::to_string(model.soc_model) + " (" +
                   model.dsp_arch + ")");
  return {};
}

Status check_binaries(const Manifest& m, const std::map<std::string, qnn::BinaryInfo>& binaries) {
  for (const auto& [role, binary] : binaries)
    QHX_RETURN_IF_ERROR(check_origin(binary, m.model).with_context(role));
  const qnn::BinaryInfo& llm = binaries.at("llm");
  const std::size_t deepstacks = count_deepstacks(llm, m.plan.prefill);
  QHX_RETURN_IF_ERROR(check_text_graphs(llm, m, deepstacks).with_context("llm"));
  if (const auto twin = binaries.find("llm emulation"); twin != binaries.end())
    QHX_RETURN_IF_ERROR(check_text_graphs(twin->second, m, deepstacks).with_context(twin->first));
  QHX_RETURN_IF_ERROR(check_graph(binaries.at("lmhead"), m.plan.lmhead,
                                  {{"x", {1, m.params.hidden}}}, {{"logits", {1, m.params.vocab}}})
                          .with_context("lmhead"));
  if (!m.vision) return {};
  return check_vision_graph(binaries.at("vision"), m, deepstacks).with_context("vision");
}

Status check_file_sizes(const Manifest& m, const fs::path& folder) {
  for (const auto& [file, record] : m.artifacts.files) {
    QHX_ASSIGN_OR_RETURN(const fs::path path, path_inside(folder, file));
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(path, error);
    if (error) return not_found(path.string() + ": " + error.message());
    if (bytes != record.bytes)
      return corrupt(path.string() + ": expected " + std::to_string(record.bytes) +
                     " bytes, found " + std::to_string(bytes));
  }
  return {};
}

}  // namespace

Status check_bundle(const fs::path& manifest_file, const qnn::SystemLibrary& system) {
  QHX_ASSIGN_OR_RETURN(const Manifest m, manifest::load_manifest(manifest_file));
  const fs::path folder = manifest_file.parent_path();
  const std::string name = manifest_file.filename().string();
  QHX_RETURN_IF_ERROR(check_file_sizes(m, folder).with_context(name));
  std::map<std::string, qnn::BinaryInfo> binaries;
  const auto read = [&](const std::string& shown, const std::string& file) -> Status {
    QHX_ASSIGN_OR_RETURN(const MappedFile binary, MappedFile::open(folder / file));
    auto info = qnn::read_binary_info(system, binary.bytes());
    if (!info.ok()) return info.status().with_context(file);
    binaries[shown] = *std::move(info);
    return {};
  };
  for (const char* role : {"llm", "lmhead", "vision"}) {
    const auto file = m.artifacts.contexts.find(role);
    if (file == m.artifacts.contexts.end()) {
      if (std::string_view(role) == "vision" && !m.vision) continue;
      return not_found(name + ": artifacts.contexts." + role + ": missing");
    }
    QHX_RETURN_IF_ERROR(read(role, file->second));
  }
  for (const auto& [role, file] : m.artifacts.emulation)
    QHX_RETURN_IF_ERROR(read(role + " emulation", file));
  return check_binaries(m, binaries).with_context(name);
}

}  // namespace qhx::forge
