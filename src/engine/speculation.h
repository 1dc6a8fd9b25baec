// Tokens that are guessed and checked together in one call, where that is quicker than one by one.
//
// The guess is what followed when the last tokens stood in the text before ("prompt lookup").
// Checking costs a call of a prefill graph in place of a decode step. Whether it pays depends on
// how often guesses are right and on how long both calls take; both are measured all the time, the
// former also while nothing is speculated: a guess costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/text_spec.h"

namespace qhx::engine {

// What followed the latest of the longest earlier occurrences of the history's last tokens (at
// least kLeastMatch of them): a part of `history`, perhaps empty.
inline constexpr std::size_t kLeastMatch = 2, kMostMatch = 8;
std::span<const std::int32_t> guess_next(std::span<const std::int32_t> history);

// When to check guesses. It is bounded what this can cost if they turn out wrong: kFirstCredit
// decode steps in a session, and kCreditRate of the steps that were made. One thread; allocates
// nothing after construction.
class Speculation {
 public:
  static constexpr double kFirstCredit = 3, kMostCredit = 20, kCreditRate = 0.02;
  // A call must promise to be this much better, since times vary.
  static constexpr double kMargin = 1.1;

  explicit Speculation(const runtime::TextSpec& spec);

  struct Call {
    std::size_t graph = 0;   // of spec.graphs
    std::size_t drafts = 0;  // after the token that is fed anyway; 0: a decode step is better
  };
  // On top of `cached` tokens, with `guesses` tokens to check.
  Call choose(std::size_t cached, std::size_t guesses) const;
  // The same without looking at what it costs: the shortest call for all of them.
  Call whatever_it_costs(std::size_t cached, std::size_t guesses) const;

  void decoded(double ms);
  // A call of `graph` that gave `tokens` tokens, of which a decode step would have given one.
  void checked(std::size_t graph, double ms, std::size_t tokens);
  // Whether the token that came was the one guessed.
  void guessed(bool right);

 private:
  bool fits(const runtime::DecoderShape& graph, std::size_t cached) const;
  std::size_t drafts_for(const runtime::DecoderShape& graph, std::size_t cached,
                         std::size_t guesses) const;
  double expected_right(std::size_t drafts) const;

  const runtime::TextSpec& spec_;
  double decode_ms_ = 0;          // 0: not measured yet
  std::vector<double> check_ms_;  // by graph; 0: not measured yet
  double right_ = 0;              // share of guesses that were, lately
  double credit_ = kFirstCredit;  // in decode steps
};

}  // namespace qhx::engine
