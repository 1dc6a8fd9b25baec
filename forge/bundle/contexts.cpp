#include "forge/bundle/contexts.h"

#include "base/file.h"
#include "forge/arch/lm_head.h"
#include "forge/bundle/text_graphs.h"
#include "qnn/context.h"

namespace qhx::forge {
namespace {

Status build(const ContextJob& job, const ForgeOptions& options, const hf::ModelConfig& config,
             const WeightLoader& weights, const ScalePlan& scales,
             const std::shared_ptr<qnn::Context>& context) {
  switch (job.kind) {
    case ContextKind::kVision:
      return build_vision_encoder(context, config, weights, patch_grid(options, config),
                                  options.target.htp, scales)
          .status();
    case ContextKind::kText:
      return build_text_decoder(context, config, weights, text_spec(options, config), scales)
          .status();
    case ContextKind::kHead:
      return build_lm_head(context, config, weights, options.target.htp).status();
  }
  QHX_CHECK(false);
}

}  // namespace

std::vector<ContextJob> context_jobs(const ForgeOptions& options, const BundleNames& names) {
  std::vector<ContextJob> jobs;
  if (options.pictures)
    jobs.push_back({ContextKind::kVision, "vision encoder", names.vision, false});
  const bool shared = text_graphs(options, false).size() > 1;
  jobs.push_back({ContextKind::kText, "text decoder", names.llm, shared});
  if (needs_twin(options))
    jobs.push_back({ContextKind::kText, "text decoder for emulation", names.llm_emulation, false});
  jobs.push_back({ContextKind::kHead, "lm-head", names.lmhead, false});
  return jobs;
}

bool needs_twin(const ForgeOptions& options) {
  return options.emulation_twin && options.target.device() &&
         text_graphs(options, false).size() > 1;
}

TextDecoderSpec text_spec(const ForgeOptions& options, const hf::ModelConfig& config) {
  const bool deepstack = options.pictures && !config.vision.deepstack_layers.empty();
  return {.graphs = text_graphs(options, deepstack), .htp = options.target.htp};
}

ContextWeights::ContextWeights(const hf::ModelConfig& config) {
  for (const hf::ExpectedTensor& tensor : hf::expected_tensors(config)) {
    double count = 1;
    for (const std::size_t extent : tensor.shape) count *= static_cast<double>(extent);
    if (tensor.name == kEmbedTensor) {
      head = count;
    } else if (tensor.name != "lm_head.weight") {
      (tensor.name.starts_with("model.visual.") ? vision : text) += count;
    }
  }
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

Status write_context(const ContextJob& job, const ForgeOptions& options,
                     const hf::ModelConfig& config, const WeightLoader& weights,
                     const ScalePlan& scales, const std::shared_ptr<const qnn::Backend>& backend,
                     const std::filesystem::path& file) {
  AlignedBuffer binary;
  {
    QHX_ASSIGN_OR_RETURN(const std::shared_ptr<qnn::Context> context,
                         qnn::Context::create(backend, {.share_weights = job.share_weights}));
    QHX_RETURN_IF_ERROR(
        build(job, options, config, weights, scales, context).with_context(job.file));
    QHX_ASSIGN_OR_RETURN(binary, context->serialize().with_context(job.file));
  }
  return write_file(file, binary.bytes());
}

}  // namespace qhx::forge
