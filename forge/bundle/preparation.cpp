#include "forge/bundle/preparation.h"

#include <algorithm>

namespace qhx::forge {
namespace {

using qnn::GraphInfo;
using qnn::HtpGraphFacts;

Status expect(std::string_view property, std::uint64_t wanted, std::uint64_t found) {
  if (wanted == found) return {};
  return backend_error("the library prepared it with " + std::string(property) + " " +
                       std::to_string(found) + ", asked for was " + std::to_string(wanted) +
                       "; use a library version that follows the option");
}

// Of the bytes that the weights should have, where half of a type's bits are double: room for
// scales, biases, norms and padding.
constexpr double kMostPart = 1.5;
constexpr double kOtherBytes = 1 << 20;

// The vision graph's rotary tables: cosine and sine of half a head's channels for each patch.
double table_bytes(const ContextJob& job, const ForgeOptions& options,
                   const hf::ModelConfig& config) {
  if (job.kind != ContextKind::kVision) return 0;
  return static_cast<double>(patch_grid(options, config).patches()) *
         static_cast<double>(config.vision.head_dim()) * sizeof(float);
}

Status check_weight_bytes(const HtpGraphFacts& facts, const ContextJob& job,
                          const ForgeOptions& options, const hf::ModelConfig& config) {
  if (options.weights == WeightFormat::kF16 || !facts.shared_weight_bytes) return {};
  const double most = stored_bytes(job.kind, config, options.weights) * kMostPart +
                      table_bytes(job, options, config) + kOtherBytes;
  const std::uint64_t found = *facts.shared_weight_bytes + facts.own_weight_bytes;
  if (static_cast<double>(found) <= most) return {};
  return backend_error(
      "its weights take " + std::to_string(found) + " bytes, expected at most " +
      std::to_string(static_cast<std::uint64_t>(most)) + " for " +
      std::to_string(static_cast<std::uint64_t>(ContextWeights(config).of(job.kind))) + " " +
      std::string(name(options.weights)) + " weights: the library has widened them");
}

}  // namespace

Status check_preparation(const ContextJob& job, const ForgeOptions& options,
                         const hf::ModelConfig& config, const qnn::BinaryInfo& binary) {
  const qnn::HtpGraphOptions& asked = options.target.htp;
  for (const GraphInfo& graph : binary.graphs) {
    if (!graph.htp) continue;
    const HtpGraphFacts& facts = *graph.htp;
    Status status = expect("optimization level", asked.optimization, facts.optimization);
    if (status.ok())
      status = expect("VTCM bytes", std::uint64_t{asked.vtcm_mb} << 20, facts.vtcm_bytes);
    if (status.ok()) status = expect("DLBC", asked.dlbc ? 1 : 0, facts.dlbc ? 1 : 0);
    if (status.ok()) status = check_weight_bytes(facts, job, options, config);
    if (!status.ok()) return status.with_context("graph " + graph.name);
  }
  return {};
}

}  // namespace qhx::forge
