#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace qhx::sampling {
namespace {

Status require(bool holds, const char* what, double found) {
  if (holds) return {};
  return invalid_argument(std::string(what) + ", found " + std::to_string(found));
}

// Better ones first: larger logits, then lower ids.
bool better(const Sampler::Candidate& a, const Sampler::Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}
// For the standard heap, which keeps the "largest" in front.
bool worse(const Sampler::Candidate& a, const Sampler::Candidate& b) { return better(b, a); }

}  // namespace

Status validate(const Config& c) {
  // The comparisons are false for NaN.
  QHX_RETURN_IF_ERROR(require(c.temperature >= 0 && c.temperature < 1e6f,
                              "temperature must be 0 or more", c.temperature));
  QHX_RETURN_IF_ERROR(require(c.top_k >= 0, "top-k must be 0 or more", c.top_k));
  QHX_RETURN_IF_ERROR(require(c.top_p >= 0 && c.top_p <= 1, "top-p must be in [0, 1]", c.top_p));
  QHX_RETURN_IF_ERROR(require(c.min_p >= 0 && c.min_p <= 1, "min-p must be in [0, 1]", c.min_p));
  return require(c.repetition_penalty > 0 && c.repetition_penalty < 1e6f,
                 "repetition penalty must be positive", c.repetition_penalty);
}

Result<std::int32_t> argmax(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  std::size_t at = logits.size();
  bool has_nan = false;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    has_nan |= logits[i] != logits[i];
    if (logits[i] > best) {
      best = logits[i];
      at = i;
    }
  }
  if (has_nan) return backend_error("the logits hold NaN");
  if (at == logits.size() || std::isinf(best))
    return backend_error("the logits have no finite maximum");
  return static_cast<std::int32_t>(at);
}

Sampler::Sampler(std::size_t vocab) : scores_(vocab), stamp_(vocab, 0) { kept_.reserve(vocab); }

void Sampler::configure(const Config& config) {
  QHX_CHECK(validate(config).ok());
  config_ = config;
  seed_ = config.seed;
  std::random_device device;
  while (seed_ == 0) seed_ = (std::uint64_t{device()} << 32) | device();
  random_.seed(seed_);
}

Result<std::int32_t> Sampler::next(std::span<const float> logits,
                                   std::span<const std::int32_t> history) {
  QHX_CHECK(logits.size() == scores_.size());
  kept_.clear();
  if (config_.repetition_penalty != 1.0f) {
    std::copy(logits.begin(), logits.end(), scores_.begin());
    penalize(history);
    logits = scores_;
  }
  QHX_ASSIGN_OR_RETURN(const std::int32_t best, argmax(logits));
  if (config_.temperature == 0.0f) return best;
  const double maximum = logits[static_cast<std::size_t>(best)];
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) kept_.push_back({logits[i], static_cast<std::int32_t>(i)});
  }
  if (config_.top_k > 0 && static_cast<std::size_t>(config_.top_k) < kept_.size())
    keep_top_k(config_.top_k);
  if (config_.top_p < 1.0f) keep_top_p(config_.top_p, maximum);
  if (config_.min_p > 0.0f) keep_min_p(config_.min_p, maximum);
  std::sort(kept_.begin(), kept_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  return draw(maximum);
}

void Sampler::penalize(std::span<const std::int32_t> history) {
  if (++now_ == 0) {  // the counter came round: old stamps must not look new
    std::fill(stamp_.begin(), stamp_.end(), 0);
    now_ = 1;
  }
  if (config_.repetition_window > 0 && history.size() > config_.repetition_window)
    history = history.last(config_.repetition_window);
  for (const std::int32_t id : history) {
    const auto i = static_cast<std::size_t>(id);
    if (i >= scores_.size() || stamp_[i] == now_) continue;
    stamp_[i] = now_;
    float& score = scores_[i];
    score = score < 0 ? score * config_.repetition_penalty : score / config_.repetition_penalty;
  }
}

double Sampler::weight(float logit, double maximum) const {
  return std::exp((logit - maximum) / config_.temperature);
}

// Keeps everything not below the k-th largest, so ties stay.
void Sampler::keep_top_k(int k) {
  const auto kth = kept_.begin() + (k - 1);
  std::nth_element(kept_.begin(), kth, kept_.end(), better);
  const float limit = kth->logit;
  std::erase_if(kept_, [limit](const Candidate& c) { return c.logit < limit; });
}

// Hugging Face sorts ascending and drops what has a running sum of at most 1 - top_p. Seen from the
// other end: a token stays while the probabilities of all better ones sum to less than top_p. A
// heap yields just the tokens that stay, in order, without sorting the vocabulary.
void Sampler::keep_top_p(double top_p, double maximum) {
  double total = 0;
  for (const Candidate& c : kept_) total += weight(c.logit, maximum);
  std::make_heap(kept_.begin(), kept_.end(), worse);
  auto rest = kept_.end();
  double above = 0;
  do {
    std::pop_heap(kept_.begin(), rest, worse);
    --rest;
    above += weight(rest->logit, maximum);
  } while (rest != kept_.begin() && above < top_p * total);
  kept_.erase(kept_.begin(), rest);
}

void Sampler::keep_min_p(double min_p, double maximum) {
  std::erase_if(kept_, [&](const Candidate& c) { return weight(c.logit, maximum) < min_p; });
}

std::int32_t Sampler::draw(double maximum) {
  double total = 0;
  for (const Candidate& c : kept_) total += weight(c.logit, maximum);
  const double u = static_cast<double>(random_() >> 11) * 0x1p-53;
  double sum = 0;
  for (const Candidate& c : kept_) {
    sum += weight(c.logit, maximum);
    if (sum > u * total) return c.id;
  }
  return kept_.back().id;  // u * total rounded up to the whole sum
}

}  // namespace qhx::sampling
