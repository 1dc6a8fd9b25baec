// From logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, draw, in the
// order and with the rules of Hugging Face's generate().
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/status.h"

namespace qhx::sampling {

struct Config {
  float temperature = 0.0f;  // 0: greedy
  int top_k = 0;             // 0: off
  float top_p = 1.0f;        // 1: off
  float min_p = 0.0f;        // 0: off
  float repetition_penalty = 1.0f;
  std::size_t repetition_window = 0;  // only the last so many tokens count as seen; 0: all
  std::uint64_t seed = 0;             // 0: a different one each time
};

// kInvalidArgument naming the first value that is out of its range.
Status validate(const Config& config);

// Not thread-safe. After construction nothing allocates.
//
// With a seed the result is reproducible: std::mt19937_64 (whose sequence the C++ standard fixes),
// one number a draw, its upper 53 bits as u in [0, 1), and the first of the kept tokens, by rising
// id, whose running sum of probabilities exceeds u times their total. All in double.
class Sampler {
 public:
  explicit Sampler(std::size_t vocab);

  // `config` is valid. Restarts the random sequence.
  void configure(const Config& config);
  // The seed in use: the configured one, or the one picked for seed 0.
  std::uint64_t seed() const { return seed_; }

  // logits [vocab] are only read. `history` is every token so far, prompt included (for the
  // repetition penalty). kBackend if the logits hold NaN or no finite maximum.
  Result<std::int32_t> next(std::span<const float> logits, std::span<const std::int32_t> history);

  // Tokens that survived the filters of the last next() and could have been drawn; empty after a
  // greedy one. By rising id.
  struct Candidate {
    float logit;  // after the repetition penalty, before temperature
    std::int32_t id;
  };
  std::span<const Candidate> kept() const { return kept_; }

 private:
  void penalize(std::span<const std::int32_t> history);
  void keep_top_k(int k);
  void keep_top_p(double top_p, double maximum);
  void keep_min_p(double min_p, double maximum);
  std::int32_t draw(double maximum);
  double weight(float logit, double maximum) const;

  Config config_;
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::vector<float> scores_;         // [vocab]
  std::vector<std::uint32_t> stamp_;  // [vocab]: the last next() that saw this id
  std::uint32_t now_ = 0;
  std::vector<Candidate> kept_;
};

// Index of the largest value, the lowest one among equals; kBackend if any is NaN or the largest is
// infinite.
Result<std::int32_t> argmax(std::span<const float> logits);

}  // namespace qhx::sampling
