#include "forge/bundle/proof.h"

#include <chrono>
#include <cmath>
#include <random>

#include "base/file.h"
#include "forge/bundle/contexts.h"
#include "forge/bundle/output_folder.h"
#include "vision/positions.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using qnn::GraphInfo;
using qnn::TensorInfo;

const std::string kProofNote = std::string(kNotePrefix) + "proof-";

class InputMaker {
 public:
  InputMaker(const GraphInfo& graph, const hf::ModelConfig& config,
             const hf::Checkpoint& checkpoint)
      : config_(config), checkpoint_(checkpoint), rows_(graph.inputs.front().dims.front()) {
    if (const TensorInfo* x = graph.input("x")) rows_ = x->dims.front();
    if (const TensorInfo* mask = graph.input("mask")) context_ = mask->dims.back() - rows_;
  }

  Result<std::vector<float>> make(const TensorInfo& tensor) {
    const std::string_view name = tensor.name;
    if (name == "mask") return causal_mask(rows_, context_, filled());
    if (name == "cos" || name == "sin") return angles(tensor, name == "cos");
    // The head's input has been normalized, the decoder's comes from the table.
    if (name == "x" && context_ > 0) return embeddings(tensor);
    std::vector<float> values = noise(tensor.element_count());
    if (name.starts_with("past_")) clear_free_rows(values);
    return values;
  }

 private:
  std::uint32_t filled() const { return context_ / 2; }

  std::vector<float> noise(std::size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random_);
    return values;
  }

  // The call's rows follow the filled ones, as text: at the same place on all axes.
  std::vector<float> angles(const TensorInfo& tensor, bool cosine) const {
    std::vector<std::int32_t> positions;
    for (int axis = 0; axis < 3; ++axis) {
      for (std::uint32_t row = 0; row < rows_; ++row)
        positions.push_back(static_cast<std::int32_t>(filled() + row));
    }
    std::vector<float> cos(tensor.element_count()), sin(cos.size());
    vision::fill_mrope(positions, config_.text.rope_theta, config_.text.mrope_section,
                       config_.text.head_dim, cos, sin);
    return cosine ? cos : sin;
  }

  Result<std::vector<float>> embeddings(const TensorInfo& tensor) const {
    QHX_ASSIGN_OR_RETURN(const hf::TensorView table, checkpoint_.find(kEmbedTensor));
    std::vector<float> values(tensor.element_count());
    const std::size_t vocab = config_.text.vocab_size, width = table.row_size();
    for (std::size_t row = 0; row < rows_; ++row) {
      QHX_RETURN_IF_ERROR(hf::read_f32(table, (2 * row + 1) * vocab / (2 * rows_), 1,
                                       std::span(values).subspan(row * width, width)));
    }
    return values;
  }

  // [G, C, D]: what lies behind the filled rows is masked out, and zero in a real cache.
  void clear_free_rows(std::vector<float>& cache) const {
    const std::size_t width = config_.text.head_dim;
    for (std::size_t i = 0; i < cache.size(); ++i) {
      if (i / width % context_ >= filled()) cache[i] = 0;
    }
  }

  const hf::ModelConfig& config_;
  const hf::Checkpoint& checkpoint_;
  std::uint32_t rows_, context_ = 0;
  std::mt19937 random_{1};
};

}  // namespace

Result<Trials> run_trials(std::span<const qnn::Graph> graphs, const hf::ModelConfig& config,
                          const hf::Checkpoint& checkpoint) {
  Trials trials;
  for (const qnn::Graph& graph : graphs) {
    Trial& trial = trials[graph.name()];
    InputMaker maker(graph.info(), config, checkpoint);
    for (const TensorInfo& tensor : graph.info().inputs) {
      QHX_ASSIGN_OR_RETURN(trial.inputs[tensor.name], maker.make(tensor));
    }
    QHX_ASSIGN_OR_RETURN(trial.outputs, run_graph(graph, trial.inputs));
  }
  return trials;
}

Result<std::vector<GraphProof>> prove(std::span<const qnn::Graph> graphs, const Trials& trials) {
  std::vector<GraphProof> proofs;
  for (const qnn::Graph& graph : graphs) {
    const Trial& trial = trials.at(graph.name());
    const auto start = std::chrono::steady_clock::now();
    QHX_ASSIGN_OR_RETURN(const FloatTensors found, run_graph(graph, trial.inputs));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    GraphProof proof{.graph = graph.name(), .worst_output = {}, .seconds = took.count()};
    for (const auto& [name, expected] : trial.outputs) {
      const double likeness = cosine(expected, found.at(name));
      if (likeness >= proof.cosine && !proof.worst_output.empty()) continue;
      proof.cosine = likeness;
      proof.worst_output = name;
      if (std::isnan(likeness)) break;
    }
    if (!(proof.cosine >= kLeastProofCosine)) {
      return backend_error("graph " + proof.graph + ": output " + proof.worst_output +
                           ": cosine with the CPU library's is " + std::to_string(proof.cosine) +
                           ", expected at least " + std::to_string(kLeastProofCosine) +
                           "; try another version of the vendor's library or another --image, "
                           "--ctx or --prefill");
    }
    proofs.push_back(std::move(proof));
  }
  return proofs;
}

Status write_proof_note(const fs::path& file, std::span<const GraphProof> proofs) {
  ordered_json note;
  for (const GraphProof& proof : proofs) {
    note[proof.graph] = {{"cosine", proof.cosine},
                         {"worst_output", proof.worst_output},
                         {"seconds", std::round(proof.seconds * 10) / 10}};
  }
  return write_file(file.parent_path() / (kProofNote + file.filename().string()), note.dump());
}

Result<ordered_json> read_proof_notes(const fs::path& folder) {
  ordered_json all;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kProofNote)) continue;
    QHX_ASSIGN_OR_RETURN(const std::string text, read_file(entry.path()));
    ordered_json note = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (note.is_discarded()) return corrupt(entry.path().string() + ": is no JSON; remove it");
    all[name.substr(kProofNote.size())] = std::move(note);
  }
  return all;
}

double emulation_seconds(double weights, std::uint32_t rows) {
  // Measured: a weight is unpacked once, and a product costs a hundredth of that.
  return weights * (4e-7 + 4e-9 * rows);
}

}  // namespace qhx::forge
