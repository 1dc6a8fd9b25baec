#include <cstdio>

#include "inspect/report.h"
#include "inspect/table.h"
#include "inspect/tensor_rows.h"
#include "program.h"
#include "qnn/library.h"

namespace qhx::inspect {
namespace {

constexpr const char* kNothing = "-";

std::string megabytes(std::uint64_t bytes) {
  char text[32];
  const bool small = bytes < 1'000'000;
  std::snprintf(text, sizeof text, small ? "%.1f kB" : "%.1f MB",
                static_cast<double>(bytes) / (small ? 1e3 : 1e6));
  return text;
}

std::string or_nothing(const std::string& text) { return text.empty() ? kNothing : text; }
std::string number(std::uint64_t value) { return value == 0 ? kNothing : std::to_string(value); }

std::string match(Match value) {
  switch (value) {
    case Match::kNotRecorded:
      return kNothing;
    case Match::kNotChecked:
      return "not checked";
    case Match::kEqual:
      return "ok";
    case Match::kDifferent:
      return "DIFFERENT";
  }
  return kNothing;
}

std::string manifests_text(const Report& report) {
  if (report.manifests.empty()) return "";
  Table table({{"manifest"},
               {"model"},
               {"family"},
               {"arch"},
               {"SoC"},
               {"QNN build"},
               {"context", true},
               {"picture", true},
               {"KV/token", true}});
  for (const ManifestFacts& facts : report.manifests) {
    const manifest::Manifest& m = facts.manifest;
    const std::string picture =
        m.vision ? std::to_string(m.vision->width) + "x" + std::to_string(m.vision->height) : "";
    table.add({facts.file, facts.status.ok() ? or_nothing(m.model.name) : "UNREADABLE",
               or_nothing(m.model.family), or_nothing(m.model.dsp_arch), number(m.model.soc_model),
               or_nothing(m.model.qnn_build), number(m.params.max_ctx), or_nothing(picture),
               facts.kv_bytes_per_token == 0 ? kNothing : megabytes(facts.kv_bytes_per_token)});
  }
  return table.to_text("") + "\n";
}

std::string memory_text(const Report& report) {
  Table table({{"memory"},
               {"weights", true},
               {"KV", true},
               {"in/out", true},
               {"spill", true},
               {"needed", true}});
  const auto add = [&table](const std::string& what,
                            const std::optional<runtime::MemoryNeed>& need) {
    if (!need) return;
    table.add({what, megabytes(need->weights), megabytes(need->kv), megabytes(need->io),
               megabytes(need->spill_fill), megabytes(need->total())});
  };
  for (const ManifestFacts& facts : report.manifests) add(facts.file, facts.memory);
  if (!report.is_bundle) add(report.path.filename().string(), report.memory);
  if (table.empty()) return "";
  std::string text = table.to_text("");
  if (report.available) {
    text += megabytes(report.available->bytes) + " available here (" +
            report.available->limited_by + ")\n";
  }
  return text + "\n";
}

std::string files_text(const Report& report) {
  if (!report.is_bundle) return "";
  Table table({{"file"}, {"bytes", true}, {"size"}, {"sha256"}, {""}});
  for (const FileFacts& file : report.files) {
    const bool missing = file.status.code() == StatusCode::kNotFound;
    table.add({file.file, missing ? "MISSING" : std::to_string(file.bytes), match(file.size),
               match(file.hash),
               file.is_manifest ? "manifest"
               : file.named     ? ""
                                : "in no manifest"});
  }
  return table.to_text("") + "\n";
}

std::string preparation(const qnn::GraphInfo& graph) {
  if (!graph.htp) return "preparation not recorded";
  const qnn::HtpGraphFacts& htp = *graph.htp;
  const std::string threads = htp.hvx_threads == 0 ? "all" : std::to_string(htp.hvx_threads);
  return "O" + std::to_string(htp.optimization) + ", VTCM " + std::to_string(htp.vtcm_bytes >> 20) +
         " MiB" + ", DLBC " + (htp.dlbc ? "on" : "off") + ", HVX threads " + threads + ", spill " +
         megabytes(htp.spill_fill_bytes) +
         (htp.shared_weight_bytes.value_or(0) != 0
              ? ", shared weights " + megabytes(*htp.shared_weight_bytes)
              : "");
}

std::string graph_text(const qnn::GraphInfo& graph, bool is_htp) {
  std::string text =
      "  graph " + tools::one_line(graph.name) + (is_htp ? ": " + preparation(graph) : "") + "\n";
  Table table({{""}, {""}, {""}, {""}, {"", true}, {""}});
  for (const auto& row : tensor_rows("in", graph.inputs)) table.add(row);
  for (const auto& row : tensor_rows("out", graph.outputs)) table.add(row);
  return text + table.to_text("    ");
}

std::string context_text(const ContextFacts& context, const Report& report) {
  std::string roles;
  for (const std::string& role : context.roles) roles += (roles.empty() ? " (" : ", ") + role;
  std::string text = "context " + tools::one_line(context.file + roles) +
                     (roles.empty() ? "" : ")") + (context.for_emulation ? ", for emulation" : "") +
                     "\n";
  if (!context.status.ok())
    return text + "  UNREADABLE: " + tools::one_line(context.status.message()) + "\n\n";
  const qnn::BinaryInfo& info = context.info;
  const bool is_htp = info.backend_id == qnn::kHtpBackendId;
  text += "  " + megabytes(context.bytes) + ", backend " + qnn::backend_name(info.backend_id) +
          ", QNN build " + tools::one_line(or_nothing(info.build_id)) + ", core API " +
          info.core_api + ", format " + info.format + "\n";
  if (is_htp) {
    const std::string arch =
        info.dsp_arch == 0 ? "not recorded" : "v" + std::to_string(info.dsp_arch);
    const std::string soc = info.soc_model == 0 ? "not recorded" : std::to_string(info.soc_model);
    text += "  arch " + arch + ", SoC " + soc + ", spill-fill " +
            megabytes(qnn::spill_fill_bytes(info)) + "\n";
  }
  if (context.kv_bytes_per_token != 0)
    text += "  KV cache " + std::to_string(context.kv_bytes_per_token) + " bytes a token\n";
  if (report.library && context.accepted) {
    const Status& said = *context.accepted;
    text += "  " + report.library->path + ": " +
            (said.ok() ? "takes it" : "REFUSES it: " + tools::one_line(said.message())) + "\n";
  }
  for (const qnn::GraphInfo& graph : info.graphs) text += graph_text(graph, is_htp);
  return text + "\n";
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text;
  if (report.library) {
    text += "library " + report.library->path + ": " + report.library->provider + ", build " +
            or_nothing(report.library->build_id) + ", core API " + report.library->core_api +
            (report.library->emulation ? ", emulation" : "") + "\n\n";
  }
  text += manifests_text(report) + files_text(report);
  for (const ContextFacts& context : report.contexts) text += context_text(context, report);
  return text + memory_text(report);
}

}  // namespace qhx::inspect
