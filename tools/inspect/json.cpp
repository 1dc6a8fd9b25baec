#include <nlohmann/json.hpp>

#include "inspect/report.h"
#include "qnn/library.h"

namespace qhx::inspect {
namespace {

using nlohmann::ordered_json;

ordered_json error_of(const Status& status) {
  if (status.ok()) return nullptr;
  return {{"code", static_cast<int>(status.code())},
          {"name", status_code_name(status.code())},
          {"message", status.message()}};
}

ordered_json number_or_null(std::uint64_t value) {
  return value == 0 ? ordered_json(nullptr) : ordered_json(value);
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json match(Match value) {
  switch (value) {
    case Match::kNotRecorded:
      return "not recorded";
    case Match::kNotChecked:
      return "not checked";
    case Match::kEqual:
      return "equal";
    case Match::kDifferent:
      return "different";
  }
  return nullptr;
}

ordered_json tensors(const std::vector<qnn::TensorInfo>& list) {
  ordered_json out = ordered_json::array();
  for (const qnn::TensorInfo& tensor : list) {
    ordered_json quantization = nullptr;
    if (const auto encoding = qnn::name(tensor.encoding); !encoding.empty()) {
      quantization = {{"encoding", encoding}};
      if (tensor.quantized) {
        quantization["scale"] = tensor.scale;
        quantization["offset"] = tensor.offset;
      }
    }
    out.push_back({{"name", tensor.name},
                   {"type", qnn::name(tensor.type)},
                   {"dims", tensor.dims},
                   {"bytes", tensor.size_bytes()},
                   {"quantization", quantization}});
  }
  return out;
}

ordered_json graph_json(const qnn::GraphInfo& graph) {
  ordered_json htp = nullptr;
  if (graph.htp) {
    htp = {{"optimization", graph.htp->optimization},
           {"vtcm_bytes", graph.htp->vtcm_bytes},
           {"dlbc", graph.htp->dlbc},
           {"hvx_threads", graph.htp->hvx_threads},
           {"spill_fill_bytes", graph.htp->spill_fill_bytes},
           {"shared_weight_bytes", nullptr}};
    if (const auto shared = graph.htp->shared_weight_bytes) htp["shared_weight_bytes"] = *shared;
  }
  return {{"name", graph.name},
          {"htp", htp},
          {"inputs", tensors(graph.inputs)},
          {"outputs", tensors(graph.outputs)}};
}

ordered_json memory_json(const std::optional<runtime::MemoryNeed>& need) {
  if (!need) return nullptr;
  return {{"weights", need->weights},
          {"kv", need->kv},
          {"io", need->io},
          {"spill_fill", need->spill_fill},
          {"total", need->total()}};
}

ordered_json context_json(const ContextFacts& context, bool asked) {
  ordered_json out = {{"file", context.file},
                      {"roles", context.roles},
                      {"for_emulation", context.for_emulation},
                      {"bytes", context.bytes}};
  out["error"] = error_of(context.status);
  if (!context.status.ok()) return out;
  const qnn::BinaryInfo& info = context.info;
  out["backend"] = qnn::backend_name(info.backend_id);
  out["qnn_build"] = text_or_null(info.build_id);
  out["core_api"] = info.core_api;
  out["backend_api"] = info.backend_api;
  out["format"] = info.format;
  out["dsp_arch"] = info.dsp_arch == 0 ? ordered_json(nullptr)
                                       : ordered_json("v" + std::to_string(info.dsp_arch));
  out["soc_model"] = number_or_null(info.soc_model);
  out["spill_fill_bytes"] = qnn::spill_fill_bytes(info);
  out["kv_bytes_per_token"] = context.kv_bytes_per_token;
  if (asked) {
    out["accepted"] = nullptr;
    if (context.accepted) out["accepted"] = context.accepted->ok();
    out["refusal"] = error_of(context.accepted.value_or(Status()));
  }
  out["graphs"] = ordered_json::array();
  for (const qnn::GraphInfo& graph : info.graphs) out["graphs"].push_back(graph_json(graph));
  return out;
}

ordered_json manifest_json(const ManifestFacts& facts) {
  ordered_json out = {{"file", facts.file}, {"error", error_of(facts.status)}};
  if (!facts.status.ok()) return out;
  const manifest::Manifest& m = facts.manifest;
  out["model"] = {{"name", m.model.name},
                  {"family", m.model.family},
                  {"dsp_arch", text_or_null(m.model.dsp_arch)},
                  {"soc_model", number_or_null(m.model.soc_model)},
                  {"qnn_build", text_or_null(m.model.qnn_build)}};
  out["context_tokens"] = number_or_null(m.params.max_ctx);
  out["image"] = nullptr;
  if (m.vision) out["image"] = {m.vision->width, m.vision->height};
  out["contexts"] = m.artifacts.contexts;
  out["kv_bytes_per_token"] = facts.kv_bytes_per_token;
  out["memory"] = memory_json(facts.memory);
  return out;
}

ordered_json file_json(const FileFacts& file) {
  return {{"file", file.file},
          {"bytes", file.bytes},
          {"named", file.named},
          {"manifest", file.is_manifest},
          {"size", match(file.size)},
          {"sha256", match(file.hash)},
          {"found_sha256", text_or_null(file.sha256)},
          {"error", error_of(file.status)}};
}

}  // namespace

std::string to_json(const Report& report) {
  ordered_json out = {{"path", report.path.string()},
                      {"kind", report.is_bundle ? "bundle" : "context binary"}};
  const Status problem = verdict(report);
  out["ok"] = problem.ok();
  out["error"] = error_of(problem);
  out["available_memory"] =
      report.available ? ordered_json(report.available->bytes) : ordered_json(nullptr);
  if (report.library) {
    out["library"] = {{"path", report.library->path},
                      {"provider", report.library->provider},
                      {"qnn_build", report.library->build_id},
                      {"core_api", report.library->core_api},
                      {"emulation", report.library->emulation}};
  }
  out["manifests"] = ordered_json::array();
  for (const ManifestFacts& m : report.manifests) out["manifests"].push_back(manifest_json(m));
  out["files"] = ordered_json::array();
  for (const FileFacts& file : report.files) out["files"].push_back(file_json(file));
  out["contexts"] = ordered_json::array();
  for (const ContextFacts& context : report.contexts)
    out["contexts"].push_back(context_json(context, report.library.has_value()));
  if (!report.is_bundle) out["memory"] = memory_json(report.memory);
  // Names in files may be any bytes.
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace qhx::inspect
