// The context binaries of a bundle, and how one is made.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/arch/scale_plan.h"
#include "forge/arch/text_decoder.h"
#include "forge/arch/weights.h"
#include "forge/bundle/options.h"
#include "forge/hf/config.h"
#include "qnn/backend.h"

namespace qhx::forge {

inline constexpr const char* kEmbedTensor = "model.language_model.embed_tokens.weight";

enum class ContextKind { kVision, kText, kHead };

struct ContextJob {
  ContextKind kind = ContextKind::kVision;
  const char* stage = "";      // what the work is called
  std::string file;            // name in the bundle
  bool share_weights = false;  // several graphs over one set of weights
  // For measurements, of which no bundle comes:
  std::string graph;         // this one of the text decoder's alone; empty: all
  std::uint32_t layers = 0;  // the first ones of the model alone; 0: all
};

// In the order in which they are made.
std::vector<ContextJob> context_jobs(const ForgeOptions& options, const BundleNames& names);

// Whether the text decoder is also written in a form that the emulation can load.
bool needs_twin(const ForgeOptions& options);

// Graphs of the text decoder.
TextDecoderSpec text_spec(const ForgeOptions& options, const hf::ModelConfig& config);

// The configuration that the job's graphs are built by.
hf::ModelConfig config_of(const ContextJob& job, hf::ModelConfig config);

// Elements of the checkpoint's tensors that each kind of context is made of.
struct ContextWeights {
  explicit ContextWeights(const hf::ModelConfig& config);
  double vision = 0, text = 0, head = 0;
  double of(ContextKind kind) const;
};

// Bytes that the linears of a context take in the formats of the plan; norms and biases, which are
// small, are counted like them.
double stored_bytes(ContextKind kind, const hf::ModelConfig& config, const WeightPlan& plan);

// Where the graphs of a context come from.
struct GraphSource {
  const ForgeOptions& options;
  const hf::ModelConfig& config;
  const WeightLoader& weights;
  const ScalePlan& scales;
};

// Builds and finalizes the job's graphs.
Result<std::vector<qnn::Graph>> build_graphs(const ContextJob& job, const GraphSource& source,
                                             const std::shared_ptr<const qnn::Backend>& backend);

// Serializes the graphs, checks what the library made of them, and writes `file`, complete or not
// at all. The context is gone before writing begins.
Status write_context(const ContextJob& job, const GraphSource& source,
                     std::vector<qnn::Graph> graphs, const qnn::SystemLibrary& system,
                     const std::filesystem::path& file);

}  // namespace qhx::forge
