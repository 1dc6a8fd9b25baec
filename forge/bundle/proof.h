// Graphs seen computing in the process that built them, before their binary is written: the x86
// library cannot load a binary whose graphs share weights, so no later run on a PC can do it.
//
// The same builders make the same graphs for our CPU library; both get the same inputs, and every
// output is compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "forge/arch/run_graph.h"
#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"

namespace qhx::forge {

// Below, a forge with options.prove fails.
inline constexpr double kLeastProofCosine = 0.999;

// What one graph was given and gave.
struct Trial {
  FloatTensors inputs, outputs;
};
using Trials = std::map<std::string, Trial>;  // by graph

// Runs each graph once on inputs that look like a model's: rows of the embedding table, rotary
// angles of consecutive positions after a cache that is half full, and normally distributed
// features.
Result<Trials> run_trials(std::span<const qnn::Graph> graphs, const hf::ModelConfig& config,
                          const hf::Checkpoint& checkpoint);

struct GraphProof {
  std::string graph;
  std::string worst_output;
  double cosine = 1;   // of that output
  double seconds = 0;  // that the execution took
};

// Gives the graphs the inputs of the trials, one for each graph. kBackend if an output is further
// from the trial's than kLeastProofCosine allows.
Result<std::vector<GraphProof>> prove(std::span<const qnn::Graph> graphs, const Trials& trials);

// What the proofs of a context leave beside its file in an unfinished bundle, and all that a folder
// holds, by file and graph: {"cosine", "worst_output", "seconds"}.
Status write_proof_note(const std::filesystem::path& file, std::span<const GraphProof> proofs);
Result<nlohmann::ordered_json> read_proof_notes(const std::filesystem::path& folder);

// About how long the x86 library takes to execute a graph of `rows` rows over `weights` weights.
double emulation_seconds(double weights, std::uint32_t rows);

}  // namespace qhx::forge
