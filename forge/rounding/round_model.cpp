#include "forge/rounding/round_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "forge/quant/rounded_weights.h"
#include "forge/ranges/calibration_pass.h"
#include "forge/rounding/round_matrix.h"

namespace qhx::forge {
namespace {

// The more rows were seen, the more their moments are believed. Measured on the demo model, by what
// prompts that were not used say: as many rows as inputs want 0.1 (with 0.01 the divergence of the
// logits is half as large again), ten times as many 0.01 to 0.03.
float damping(const SecondMoments& moments) {
  const float inputs_for_each_row =
      static_cast<float>(moments.width()) / static_cast<float>(moments.rows());
  return std::clamp(0.1f * inputs_for_each_row, 0.01f, 1.0f);
}

// An activation of reference::Stage, and the linears of a layer that it enters.
struct Entrance {
  std::string_view stage;
  std::vector<std::string_view> linears;
};
const std::vector<Entrance>& layer_entrances() {
  static const std::vector<Entrance> all = {
      {"layer_norm1", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
      {"layer_attn", {"self_attn.o_proj"}},
      {"layer_norm2", {"mlp.gate_proj", "mlp.up_proj"}},
      {"layer_product", {"mlp.down_proj"}}};
  return all;
}
const Entrance kHeadEntrance{"hidden", {}};

std::string tensor_name(std::size_t layer, std::string_view linear) {
  return "model.language_model.layers." + std::to_string(layer) + "." + std::string(linear) +
         ".weight";
}

std::string head_name(const hf::ModelConfig& config) {
  return config.tie_word_embeddings ? "model.language_model.embed_tokens.weight" : "lm_head.weight";
}

class ModelRounder {
 public:
  ModelRounder(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config,
               const quant::WeightPlan& plan, ThreadPool& pool)
      : checkpoint_(checkpoint), config_(config), plan_(plan), pool_(pool) {}

  Status create(const std::filesystem::path& file) {
    std::vector<quant::RoundedWriter::Matrix> matrices;
    const auto add = [&](const std::string& name) -> Status {
      QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_.find(name));
      if (wanted(tensor)) matrices.push_back({name, tensor.rows(), tensor.row_size()});
      return {};
    };
    for (std::size_t i = 0; i < config_.text.n_layers; ++i) {
      for (const Entrance& entrance : layer_entrances()) {
        for (const std::string_view linear : entrance.linears)
          QHX_RETURN_IF_ERROR(add(tensor_name(i, linear)));
      }
    }
    QHX_RETURN_IF_ERROR(add(head_name(config_)));
    QHX_ASSIGN_OR_RETURN(quant::RoundedWriter writer, quant::RoundedWriter::create(file, matrices));
    writer_.emplace(std::move(writer));
    return {};
  }

  void observe(const reference::Stage& stage, const reference::Matrix& value) {
    const bool entrance =
        stage.kind == kHeadEntrance.stage ||
        std::any_of(layer_entrances().begin(), layer_entrances().end(),
                    [&](const Entrance& each) { return each.stage == stage.kind; });
    // Without whole groups none of its linears has 4 bits.
    if (!entrance || value.columns % quant::kGroupSize != 0) return;
    const auto [moments, added] = moments_.try_emplace(stage.kind, value.columns);
    moments->second.add(value, pool_);
  }

  Status round_layer(std::size_t index) {
    for (const Entrance& entrance : layer_entrances()) {
      std::vector<std::string> names;
      for (const std::string_view linear : entrance.linears)
        names.push_back(tensor_name(index, linear));
      QHX_RETURN_IF_ERROR(round_behind(entrance.stage, names));
    }
    return {};
  }

  Result<std::vector<RoundingErrors>> finish() {
    QHX_RETURN_IF_ERROR(round_behind(kHeadEntrance.stage, {head_name(config_)}));
    QHX_RETURN_IF_ERROR(writer_->commit());
    return std::move(errors_);
  }

 private:
  bool wanted(const hf::TensorView& tensor) const {
    return plan_.of(tensor.name, tensor.row_size()) == quant::WeightFormat::kW4;
  }

  // The linears that an activation enters: they share its moments.
  Status round_behind(std::string_view stage, const std::vector<std::string>& names) {
    const auto found = moments_.find(stage);
    if (found == moments_.end()) return {};
    std::vector<hf::TensorView> tensors;
    for (const std::string& name : names) {
      QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_.find(name));
      if (wanted(tensor)) tensors.push_back(tensor);
    }
    if (!tensors.empty()) {
      auto feedback = ErrorFeedback::make(found->second, damping(found->second), pool_);
      if (!feedback.ok()) return feedback.status().with_context("inputs of " + names.front());
      for (const hf::TensorView& tensor : tensors) QHX_RETURN_IF_ERROR(round(tensor, *feedback));
    }
    moments_.erase(found);
    return {};
  }

  Status round(const hf::TensorView& tensor, const ErrorFeedback& feedback) {
    QHX_ASSIGN_OR_RETURN(const RoundedMatrix matrix, round_matrix(tensor, feedback, pool_));
    checkpoint_.drop_resident(tensor);
    const auto part = [&](double error) {
      return matrix.signal > 0 ? std::sqrt(error / matrix.signal) : 0.0;
    };
    errors_.push_back({std::string(tensor.name), tensor.element_count(), part(matrix.compensated),
                       part(matrix.nearest), part(matrix.int8)});
    return writer_->write(std::string(tensor.name), matrix.packed, matrix.scales);
  }

  const hf::Checkpoint& checkpoint_;
  const hf::ModelConfig& config_;
  const quant::WeightPlan& plan_;
  ThreadPool& pool_;
  std::optional<quant::RoundedWriter> writer_;
  std::map<std::string_view, SecondMoments> moments_;  // of the running layer, by stage
  std::vector<RoundingErrors> errors_;
};

// Of a matrix [out, in] and of its inputs' moments; the kernel is several times as fast as the
// reference's, in whose products the rest is counted.
constexpr double kKernel = 0.3;
double factor_products(double rows, double in) {
  return kKernel * (rows * in * in / 2 + in * in * in / 6);
}
double matrix_products(double out, double in) { return kKernel * out * in * in / 2; }

double layer_rounding(const hf::TextConfig& text, double rows) {
  const auto hidden = static_cast<double>(text.hidden_size);
  const auto q = static_cast<double>(text.q_width()), kv = static_cast<double>(text.kv_width());
  const auto ffn = static_cast<double>(text.intermediate_size);
  return 2 * factor_products(rows, hidden) + factor_products(rows, q) + factor_products(rows, ffn) +
         matrix_products(q + 2 * kv + 2 * ffn, hidden) + matrix_products(hidden, q) +
         matrix_products(hidden, ffn);
}

double head_rounding(const hf::TextConfig& text, double rows) {
  const auto hidden = static_cast<double>(text.hidden_size);
  return factor_products(rows, hidden) +
         matrix_products(static_cast<double>(text.vocab_size), hidden);
}

double rows_of(const CalibrationSet& set) {
  double rows = 0;
  for (const CalibrationSet::Prompt& prompt : set.prompts)
    rows += static_cast<double>(prompt.tokens.size());
  return rows;
}

}  // namespace

double rounding_products(const hf::ModelConfig& config, const CalibrationSet& set) {
  const double rows = rows_of(set);
  return calibration_products(config, set) +
         static_cast<double>(config.text.n_layers) * layer_rounding(config.text, rows) +
         head_rounding(config.text, rows);
}

Result<std::vector<RoundingErrors>> round_model(const hf::Checkpoint& checkpoint,
                                                const hf::ModelConfig& config,
                                                const quant::WeightPlan& plan,
                                                const CalibrationSet& set,
                                                const std::filesystem::path& file, ThreadPool& pool,
                                                const RoundingProgress& progress) {
  const double all = rounding_products(config, set);
  double done = 0;
  const auto advance = [&](double products) {
    done += products;
    return progress(std::min(1.0, done / all));
  };
  ModelRounder rounder(checkpoint, config, plan, pool);
  QHX_RETURN_IF_ERROR(rounder.create(file));
  CalibrationObserver observer;
  observer.text = [&](const reference::Stage& stage, const reference::Matrix& value) {
    rounder.observe(stage, value);
  };
  observer.layer_done = [&](std::size_t index) -> Status {
    QHX_RETURN_IF_ERROR(rounder.round_layer(index));
    return advance(layer_rounding(config.text, rows_of(set)));
  };
  observer.progress = advance;
  QHX_RETURN_IF_ERROR(run_calibration(checkpoint, config, set, pool, observer));
  QHX_ASSIGN_OR_RETURN(auto errors, rounder.finish());
  QHX_RETURN_IF_ERROR(progress(1.0));
  return errors;
}

}  // namespace qhx::forge
