#include "profile/report.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace qhx::profile {
namespace {

const GraphProfile* find(const Report& report, const std::string& target, Stage stage) {
  for (const GraphProfile& graph : report.graphs) {
    if (graph.target == target && graph.stage == stage) return &graph;
  }
  return nullptr;
}

// The cheapest way to take in a prompt with calls of one graph.
const GraphProfile* best_prefill(const Report& report, const std::string& target,
                                 std::uint32_t tokens, double& us) {
  const GraphProfile* best = nullptr;
  for (const GraphProfile& graph : report.graphs) {
    if (graph.target != target || graph.stage != Stage::kPrefill || graph.rows == 0) continue;
    const std::uint32_t calls = (tokens + graph.rows - 1) / graph.rows;
    if (best != nullptr && calls * graph.model_us() >= us) continue;
    best = &graph;
    us = calls * graph.model_us();
  }
  return best;
}

Derived derive(const Report& report, const std::string& target) {
  Derived derived{.target = target, .decode = {}};
  const GraphProfile* vision = find(report, target, Stage::kVision);
  const GraphProfile* head = find(report, target, Stage::kHead);
  const std::uint32_t tokens = report.image_tokens + kTextTokens;
  double prefill_us = 0;
  const GraphProfile* prefill = best_prefill(report, target, tokens, prefill_us);
  if (vision != nullptr && prefill != nullptr && head != nullptr) {
    derived.prompt_tokens = tokens;
    derived.first_token_us = vision->model_us() + prefill_us + head->model_us();
    derived.extrapolated |= !vision->whole() || !prefill->whole();
  }
  for (const GraphProfile& graph : report.graphs) {
    if (graph.target != target || graph.stage != Stage::kDecode || head == nullptr) continue;
    derived.decode.push_back({graph.context_rows, 1e6 / (graph.model_us() + head->model_us())});
    derived.extrapolated |= !graph.whole();
  }
  return derived;
}

}  // namespace

double Sums::working_us() const {
  return std::accumulate(busy_us.begin(), busy_us.end(), 0.0) - busy(qnn::SimulatedUnit::kControl);
}

std::string_view name(Stage stage) {
  switch (stage) {
    case Stage::kVision:
      return "vision";
    case Stage::kPrefill:
      return "prefill";
    case Stage::kDecode:
      return "decode";
    case Stage::kHead:
      return "lmhead";
  }
  QHX_CHECK(false);
}

Result<Stage> parse_stage(std::string_view text) {
  for (const Stage stage : {Stage::kVision, Stage::kPrefill, Stage::kDecode, Stage::kHead}) {
    if (text == name(stage)) return stage;
  }
  return invalid_argument("stage " + std::string(text) +
                          ": expected vision, prefill, decode or lmhead");
}

double GraphProfile::layer_us() const { return layers == 0 ? 0 : (us - outside_us) / layers; }

double GraphProfile::model_us() const { return whole() ? us : outside_us + layer_us() * of_layers; }

std::vector<Derived> derive(const Report& report) {
  std::vector<std::string> targets;
  for (const GraphProfile& graph : report.graphs) {
    if (std::find(targets.begin(), targets.end(), graph.target) == targets.end())
      targets.push_back(graph.target);
  }
  std::vector<Derived> all;
  for (const std::string& target : targets) {
    Derived derived = derive(report, target);
    if (derived.prompt_tokens > 0 || !derived.decode.empty()) all.push_back(std::move(derived));
  }
  return all;
}

}  // namespace qhx::profile
