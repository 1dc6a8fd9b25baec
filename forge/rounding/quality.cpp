#include "forge/rounding/quality.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "forge/ranges/calibration_pass.h"

namespace qhx::forge {
namespace {

using reference::Matrix;

// log of the sum of exp(x).
double log_sum_exp(std::span<const float> x) {
  const double largest = static_cast<double>(*std::max_element(x.begin(), x.end()));
  double sum = 0;
  for (const float value : x) sum += std::exp(static_cast<double>(value) - largest);
  return largest + std::log(sum);
}

// First row whose prediction is of words: those before stand for the picture.
std::size_t first_row(const CalibrationSet::Prompt& prompt, std::int32_t image_token) {
  for (std::size_t t = prompt.tokens.size(); t-- > 0;) {
    if (prompt.tokens[t] == image_token) return t + 1;
  }
  return 0;
}

class Trial {
 public:
  Trial(const hf::Checkpoint& checkpoint, const hf::ModelConfig& config, const CalibrationSet& set,
        ThreadPool& pool, reference::Progress progress)
      : checkpoint_(checkpoint), config_(config), set_(set), pool_(pool) {
    observer_.progress = std::move(progress);
  }

  Status run_vision() {
    QHX_ASSIGN_OR_RETURN(pictures_, run_pictures(checkpoint_, config_, set_, pool_, observer_));
    return {};
  }

  // Logits of each prompt's words, [rows, vocabulary].
  Result<std::vector<Matrix>> logits(const quant::WeightPlan& plan) const {
    QHX_ASSIGN_OR_RETURN(const auto outputs,
                         run_texts(checkpoint_, config_, set_, pictures_, plan, pool_, observer_));
    reference::Linear head;
    QHX_ASSIGN_OR_RETURN(head.weight, reference::WeightReader(checkpoint_, plan)
                                          .rounded(config_.tie_word_embeddings
                                                       ? "model.language_model.embed_tokens.weight"
                                                       : "lm_head.weight"));
    std::vector<Matrix> all;
    for (std::size_t p = 0; p < outputs.size(); ++p) {
      const Matrix& hidden = outputs[p].hidden;
      const std::size_t first = first_row(set_.prompts[p], config_.image_token_id);
      Matrix words(hidden.rows - first, hidden.columns);
      std::copy(hidden.row(first), hidden.row(0) + hidden.values.size(), words.row(0));
      all.push_back(apply(head, words, pool_));
    }
    return all;
  }

 private:
  const hf::Checkpoint& checkpoint_;
  const hf::ModelConfig& config_;
  const CalibrationSet& set_;
  ThreadPool& pool_;
  CalibrationObserver observer_;
  PictureOutputs pictures_;
};

}  // namespace

double kl_divergence(std::span<const float> expected, std::span<const float> found) {
  QHX_CHECK(expected.size() == found.size() && !expected.empty());
  const double p_sum = log_sum_exp(expected), q_sum = log_sum_exp(found);
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double log_p = static_cast<double>(expected[i]) - p_sum;
    sum += std::exp(log_p) * (log_p - (static_cast<double>(found[i]) - q_sum));
  }
  return std::max(sum, 0.0);  // rounding can leave a little less than nothing
}

void Quality::add(std::span<const float> expected, std::span<const float> found) {
  const double kl = kl_divergence(expected, found);
  const bool agrees = reference::argmax(expected) == reference::argmax(found);
  ++positions;
  const double part = 1.0 / static_cast<double>(positions);
  mean_kl += (kl - mean_kl) * part;
  worst_kl = std::max(worst_kl, kl);
  agreement += ((agrees ? 1.0 : 0.0) - agreement) * part;
}

Result<std::vector<Quality>> measure_quality(const hf::Checkpoint& checkpoint,
                                             const hf::ModelConfig& config,
                                             const CalibrationSet& trial,
                                             std::span<const quant::WeightPlan> plans,
                                             ThreadPool& pool,
                                             const std::function<Status(double)>& progress) {
  const double all = quality_products(config, trial, plans.size());
  double done = 0;
  const auto advance = [&](double products) {
    done += products;
    return progress(std::min(1.0, done / all));
  };
  Trial run(checkpoint, config, trial, pool, advance);
  QHX_RETURN_IF_ERROR(run.run_vision());
  QHX_ASSIGN_OR_RETURN(const auto expected, run.logits(quant::WeightFormat::kF32));
  std::vector<Quality> qualities;
  for (const quant::WeightPlan& plan : plans) {
    QHX_ASSIGN_OR_RETURN(const auto found, run.logits(plan));
    Quality& quality = qualities.emplace_back();
    for (std::size_t p = 0; p < expected.size(); ++p) {
      for (std::size_t r = 0; r < expected[p].rows; ++r) {
        quality.add({expected[p].row(r), expected[p].columns}, {found[p].row(r), found[p].columns});
      }
    }
  }
  QHX_RETURN_IF_ERROR(progress(1.0));
  return qualities;
}

double quality_products(const hf::ModelConfig& config, const CalibrationSet& trial,
                        std::size_t plans) {
  return calibration_products(config, trial) +
         static_cast<double>(plans) * text_products(config, trial);
}

}  // namespace qhx::forge
