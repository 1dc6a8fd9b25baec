#include "forge/bundle/contexts.h"

#include "base/file.h"
#include "forge/arch/lm_head.h"
#include "forge/bundle/preparation.h"
#include "forge/bundle/text_graphs.h"
#include "qnn/context.h"

namespace qhx::forge {
namespace {

Result<std::vector<qnn::Graph>> only(Result<qnn::Graph> graph) {
  if (!graph.ok()) return graph.status();
  std::vector<qnn::Graph> graphs;
  graphs.push_back(*std::move(graph));
  return graphs;
}

Result<std::vector<qnn::Graph>> build(const ContextJob& job, const GraphSource& from,
                                      const std::shared_ptr<qnn::Context>& context) {
  const qnn::HtpGraphOptions& htp = from.options.target.htp;
  switch (job.kind) {
    case ContextKind::kVision:
      return only(build_vision_encoder(context, from.config, from.weights,
                                       patch_grid(from.options, from.config), htp, from.scales));
    case ContextKind::kText: {
      TextDecoderSpec spec = text_spec(from.options, from.config);
      std::erase_if(spec.graphs, [&](const TextGraphSpec& graph) {
        return !job.graph.empty() && graph.name != job.graph;
      });
      return build_text_decoder(context, from.config, from.weights, spec, from.scales);
    }
    case ContextKind::kHead:
      return only(build_lm_head(context, from.config, from.weights, htp));
  }
  QHX_CHECK(false);
}

// Calls `see(context, tensor, elements)` for all that become part of a context. The head is as
// large as the embedding table, whichever of the two it is made of.
template <typename See>
void for_each_weight(const hf::ModelConfig& config, const See& see) {
  for (const hf::ExpectedTensor& tensor : hf::expected_tensors(config)) {
    if (tensor.name == "lm_head.weight") continue;
    double count = 1;
    for (const std::size_t extent : tensor.shape) count *= static_cast<double>(extent);
    const ContextKind kind = tensor.name == kEmbedTensor                ? ContextKind::kHead
                             : tensor.name.starts_with("model.visual.") ? ContextKind::kVision
                                                                        : ContextKind::kText;
    see(kind, tensor, count);
  }
}

}  // namespace

std::vector<ContextJob> context_jobs(const ForgeOptions& options, const BundleNames& names) {
  std::vector<ContextJob> jobs;
  if (options.pictures)
    jobs.push_back({ContextKind::kVision, "vision encoder", names.vision, false, {}, 0});
  const bool shared = text_graphs(options, false).size() > 1;
  jobs.push_back({ContextKind::kText, "text decoder", names.llm, shared, {}, 0});
  if (needs_twin(options))
    jobs.push_back(
        {ContextKind::kText, "text decoder for emulation", names.llm_emulation, false, {}, 0});
  jobs.push_back({ContextKind::kHead, "lm-head", names.lmhead, false, {}, 0});
  return jobs;
}

bool needs_twin(const ForgeOptions& options) {
  return options.emulation_twin && options.target.device() &&
         text_graphs(options, false).size() > 1;
}

TextDecoderSpec text_spec(const ForgeOptions& options, const hf::ModelConfig& config) {
  const bool deepstack = options.pictures && !config.vision.deepstack_layers.empty();
  return {.graphs = text_graphs(options, deepstack), .htp = options.target.htp, .kv = options.kv};
}

hf::ModelConfig config_of(const ContextJob& job, hf::ModelConfig config) {
  return job.layers == 0 ? config : hf::first_layers(std::move(config), job.layers);
}

ContextWeights::ContextWeights(const hf::ModelConfig& config) {
  for_each_weight(config, [&](ContextKind kind, const hf::ExpectedTensor&, double count) {
    (kind == ContextKind::kVision ? vision : kind == ContextKind::kText ? text : head) += count;
  });
}

double ContextWeights::of(ContextKind kind) const {
  switch (kind) {
    case ContextKind::kVision:
      return vision;
    case ContextKind::kText:
      return text;
    case ContextKind::kHead:
      return head;
  }
  QHX_CHECK(false);
}

double stored_bytes(ContextKind kind, const hf::ModelConfig& config, const WeightPlan& plan) {
  double bytes = 0;
  for_each_weight(config, [&](ContextKind of, const hf::ExpectedTensor& tensor, double count) {
    if (of != kind) return;
    const auto in = static_cast<std::size_t>(count) / tensor.shape.front();
    bytes += count * quant::bits_per_weight(plan.of(tensor.name, in)) / 8;
  });
  return bytes;
}

Result<std::vector<qnn::Graph>> build_graphs(const ContextJob& job, const GraphSource& source,
                                             const std::shared_ptr<const qnn::Backend>& backend) {
  QHX_ASSIGN_OR_RETURN(const std::shared_ptr<qnn::Context> context,
                       qnn::Context::create(backend, {.share_weights = job.share_weights}));
  auto graphs = build(job, source, context);
  if (!graphs.ok()) return graphs.status().with_context(job.file);
  return graphs;
}

Status write_context(const ContextJob& job, const GraphSource& source,
                     std::vector<qnn::Graph> graphs, const qnn::SystemLibrary& system,
                     const std::filesystem::path& file) {
  QHX_ASSIGN_OR_RETURN(const AlignedBuffer binary,
                       graphs.front().context()->serialize().with_context(job.file));
  graphs.clear();
  const auto info = qnn::read_binary_info(system, binary.bytes());
  if (!info.ok()) return info.status().with_context(job.file);
  QHX_RETURN_IF_ERROR(
      check_preparation(job, source.options, source.config, source.weights.plan(), *info)
          .with_context(job.file));
  return write_file(file, binary.bytes());
}

}  // namespace qhx::forge
