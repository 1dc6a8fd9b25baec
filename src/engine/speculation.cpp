#include "engine/speculation.h"

#include <algorithm>

namespace qhx::engine {
namespace {

// Weight of the newest of a series of measurements.
constexpr double kNewest = 0.25;

void average(double& mean, double value) {
  mean = mean == 0 ? value : mean + kNewest * (value - mean);
}

// Whether the history up to `end` (exclusive) ends like the whole: by how many tokens.
std::size_t match_before(std::span<const std::int32_t> history, std::size_t end) {
  const std::size_t most = std::min(kMostMatch, end), size = history.size();
  std::size_t length = 0;
  while (length < most && history[end - 1 - length] == history[size - 1 - length]) ++length;
  return length;
}

}  // namespace

std::span<const std::int32_t> guess_next(std::span<const std::int32_t> history) {
  std::size_t best = kLeastMatch - 1, found = history.size();
  for (std::size_t end = history.size(); end-- > kLeastMatch && best < kMostMatch;) {
    const std::size_t length = match_before(history, end);
    if (length <= best) continue;
    best = length;
    found = end;
  }
  return history.subspan(found);
}

Speculation::Speculation(const runtime::TextSpec& spec)
    : spec_(spec), check_ms_(spec.graphs.size(), 0) {}

bool Speculation::fits(const runtime::DecoderShape& graph, std::size_t cached) const {
  return graph.role == runtime::Role::kPrefill && graph.context >= cached && graph.context > 0 &&
         graph.rows <= spec_.exact_rows;
}

// The token that is fed takes a row of the graph and of the context.
std::size_t Speculation::drafts_for(const runtime::DecoderShape& graph, std::size_t cached,
                                    std::size_t guesses) const {
  const std::size_t room = spec_.context > cached ? spec_.context - cached - 1 : 0;
  return std::min({guesses, graph.rows - 1, room});
}

// Guesses are right with the same probability each, up to the first wrong one.
double Speculation::expected_right(std::size_t drafts) const {
  double sum = 0, all_so_far = 1;
  for (std::size_t i = 0; i < drafts; ++i) sum += all_so_far *= right_;
  return sum;
}

Speculation::Call Speculation::choose(std::size_t cached, std::size_t guesses) const {
  Call best;
  if (decode_ms_ == 0) return best;
  double most_saved = 0;
  for (std::size_t i = 0; i < spec_.graphs.size(); ++i) {
    const runtime::DecoderShape& graph = spec_.graphs[i];
    const std::size_t drafts = drafts_for(graph, cached, guesses);
    if (!fits(graph, cached) || drafts == 0) continue;
    // In decode steps. Until it is measured, what the manifest says of the rows.
    const double by_rows = static_cast<double>(graph.rows + spec_.call_cost) /
                           static_cast<double>(1 + spec_.call_cost);
    const double cost = check_ms_[i] == 0 ? by_rows : check_ms_[i] / decode_ms_;
    const double saved = 1 + expected_right(drafts) - kMargin * cost;
    if (saved <= most_saved || cost - 1 > credit_) continue;
    most_saved = saved;
    best = {i, drafts};
  }
  return best;
}

Speculation::Call Speculation::whatever_it_costs(std::size_t cached, std::size_t guesses) const {
  Call best;
  for (std::size_t i = 0; i < spec_.graphs.size(); ++i) {
    const runtime::DecoderShape& graph = spec_.graphs[i];
    const std::size_t drafts = drafts_for(graph, cached, guesses);
    if (!fits(graph, cached) || drafts == 0) continue;
    const std::size_t rows = best.drafts == 0 ? 0 : spec_.graphs[best.graph].rows;
    if (drafts > best.drafts || (drafts == best.drafts && graph.rows < rows)) best = {i, drafts};
  }
  return best;
}

void Speculation::decoded(double ms) {
  average(decode_ms_, ms);
  credit_ = std::min(credit_ + kCreditRate, kMostCredit);
}

void Speculation::checked(std::size_t graph, double ms, std::size_t tokens) {
  average(check_ms_[graph], ms);
  if (decode_ms_ == 0) return;
  credit_ = std::min(credit_ + static_cast<double>(tokens) - ms / decode_ms_, kMostCredit);
}

void Speculation::guessed(bool right) { right_ += kNewest * ((right ? 1.0 : 0.0) - right_); }

}  // namespace qhx::engine
