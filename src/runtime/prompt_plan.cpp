#include "runtime/prompt_plan.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/check.h"

namespace qhx::runtime {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// From one token on: the first call and what it and all after it cost.
struct Way {
  double cost = kNever;
  std::size_t graph = 0;
};

class Planner {
 public:
  Planner(const TextSpec& spec, std::size_t tokens, std::size_t images_end)
      : spec_(spec), images_end_(images_end), ways_(tokens + 1) {
    ways_[tokens].cost = 0;
    for (std::size_t at = tokens; at-- > 0;) ways_[at] = best_from(at);
  }

  double cost(std::size_t at) const { return ways_[at].cost; }
  Chunk chunk(std::size_t at) const {
    const std::size_t graph = ways_[at].graph;
    return {at, std::min(rest(at), spec_.graphs[graph].rows), graph};
  }

 private:
  std::size_t rest(std::size_t at) const { return ways_.size() - 1 - at; }
  bool is_tail(std::size_t at) const { return rest(at) <= spec_.decode_tail && at >= images_end_; }

  double call_cost(std::size_t rows) const { return static_cast<double>(rows + spec_.call_cost); }

  // decode_tail says that so many decode calls cost less than one of the shortest prefill graph.
  double decode_cost() const {
    double least = kNever;
    for (const DecoderShape& graph : spec_.graphs) {
      if (graph.role == Role::kPrefill) least = std::min(least, static_cast<double>(graph.rows));
    }
    return std::min(call_cost(1),
                    (least + call_cost(0)) / (static_cast<double>(spec_.decode_tail) + 1));
  }

  Way best_from(std::size_t at) const {
    Way best;
    if (!is_tail(at)) {
      // Contexts rise, so of equal costs the smallest context comes first.
      for (std::size_t i = 0; i < spec_.graphs.size(); ++i) {
        const DecoderShape& graph = spec_.graphs[i];
        if (graph.role != Role::kPrefill || graph.context < at) continue;
        const std::size_t next = at + std::min(rest(at), graph.rows);
        const double cost = call_cost(graph.rows) + ways_[next].cost;
        if (cost < best.cost) best = {cost, i};
      }
    }
    const bool needs_deepstack = at < images_end_ && spec_.deepstack > 0;
    if (best.cost == kNever && !needs_deepstack)
      best = {decode_cost() + ways_[at + 1].cost, spec_.decode_graph(at)};
    return best;
  }

  const TextSpec& spec_;
  std::size_t images_end_;
  std::vector<Way> ways_;
};

}  // namespace

Result<PromptPlan> plan_prompt(const TextSpec& spec, std::size_t tokens, std::size_t common,
                               std::size_t images_end) {
  QHX_CHECK(tokens > 0 && tokens <= spec.context);
  const Planner planner(spec, tokens, images_end);
  PromptPlan plan;
  plan.start = std::min(common, tokens - 1);
  for (std::size_t at = plan.start; at-- > 0;) {
    if (planner.cost(at) < planner.cost(plan.start)) plan.start = at;
  }
  if (planner.cost(plan.start) == kNever) {
    return unsupported("a picture reaches to token " + std::to_string(images_end) +
                       ", but this bundle's prefill graphs take at most " +
                       std::to_string(spec.prefill_rows()) +
                       " tokens and do not see enough of those before");
  }
  for (std::size_t at = plan.start; at < tokens; at += plan.chunks.back().count)
    plan.chunks.push_back(planner.chunk(at));
  return plan;
}

}  // namespace qhx::runtime
