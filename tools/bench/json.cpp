#include <nlohmann/json.hpp>

#include "base/utc.h"
#include "bench/bench.h"

namespace qhx::bench {
namespace {

using nlohmann::ordered_json;

ordered_json samples(const Samples& samples) {
  return {{"min", samples.min()},
          {"median", samples.median()},
          {"max", samples.max()},
          {"values", samples.values}};
}

ordered_json others(double cores) {
  return cores < 0 ? ordered_json(nullptr) : ordered_json(cores);
}

ordered_json load_json(const Load& load) {
  return {{"cache", load.cold ? "cold" : "warm"},
          {"cached_bytes", load.cached_bytes},
          {"load_ms", samples(load.load)},
          {"first_token_ms", samples(load.first_token)},
          {"others", others(load.others)}};
}

ordered_json rates(const std::vector<TextRate>& list, const char* length, std::size_t steps) {
  ordered_json out = ordered_json::array();
  for (const TextRate& rate : list) {
    const std::size_t tokens = steps == 0 ? rate.tokens : steps;
    out.push_back({{length, rate.tokens},
                   {"ms", samples(rate.ms)},
                   {"tokens_per_s", samples(rate.ms.rates(1e3 * static_cast<double>(tokens)))},
                   {"others", others(rate.others)}});
  }
  return out;
}

ordered_json turn_json(const std::optional<Turn>& turn) {
  if (!turn.has_value()) return nullptr;
  return {{"picture", turn->picture},
          {"prompt_tokens", turn->prompt_tokens},
          {"first_ttft_ms", turn->first_ttft},
          {"image_ms", samples(turn->image)},
          {"vision_ms", samples(turn->vision)},
          {"prefill_ms", samples(turn->prefill)},
          {"ttft_ms", samples(turn->ttft)},
          {"second_ttft_ms", samples(turn->second_ttft)},
          {"second_reused_tokens", turn->second_reused},
          {"others", others(turn->others)}};
}

}  // namespace

std::string to_json(const Report& report) {
  ordered_json loads = ordered_json::array(), stages = ordered_json::array();
  for (const Load& load : report.loads) loads.push_back(load_json(load));
  for (const StageShare& stage : report.stages) {
    stages.push_back(
        {{"stage", stage.stage}, {"runs", stage.runs}, {"ms", stage.ms}, {"share", stage.share}});
  }
  ordered_json ops = nullptr;
  for (const OpShare& op : report.ops)
    ops.push_back({{"stage", op.stage}, {"op", op.op}, {"nodes", op.nodes}, {"share", op.share}});
  const ordered_json document = {
      {"qhexrt", QHX_VERSION},
      {"made", utc_now()},
      {"machine", {{"cpu", report.cpu}, {"usable_cpus", report.usable_cpus}}},
      {"threads", report.threads},
      {"library",
       {{"file", report.library},
        {"provider", report.provider},
        {"build", report.build_id},
        {"emulation", report.emulation},
        {"kernel_target", report.kernel_target.empty() ? ordered_json(nullptr)
                                                       : ordered_json(report.kernel_target)}}},
      {"bundle",
       {{"manifest", report.manifest},
        {"model", report.model},
        {"bytes", report.bundle_bytes},
        {"context", report.context}}},
      {"notes", report.notes},
      {"load", loads},
      {"turn", turn_json(report.turn)},
      {"prefill", rates(report.prefill, "tokens", 0)},
      {"decode_steps", report.steps},
      {"decode", rates(report.decode, "fill", report.steps)},
      {"memory", {{"loaded_bytes", report.loaded_rss}, {"peak_bytes", report.peak_rss}}},
      {"stages", stages},
      {"ops", ops}};
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace qhx::bench
