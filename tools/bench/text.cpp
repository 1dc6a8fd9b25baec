#include <cstdio>

#include "bench/bench.h"
#include "inspect/table.h"

namespace qhx::bench {
namespace {

using inspect::Table;

// Four digits that tell something, as people compare them.
std::string figure(double value) {
  char text[32];
  const int decimals = value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

std::string gigabytes(std::uint64_t bytes) {
  return figure(static_cast<double>(bytes) / 1e9) + " GB";
}

void add(Table& table, const std::string& what, const std::string& unit, const Samples& samples,
         double others) {
  table.add({what, unit, figure(samples.min()), figure(samples.median()), figure(samples.max()),
             std::to_string(samples.values.size()), others < 0 ? "-" : figure(others)});
}

void add_single(Table& table, const std::string& what, const std::string& unit, double value) {
  table.add({what, unit, "", figure(value), "", "1", ""});
}

std::string head(const Report& report) {
  std::string text = report.manifest + ": " + report.model + ", " + gigabytes(report.bundle_bytes) +
                     ", context " + std::to_string(report.context) + "\n";
  text += report.library + " " + report.build_id;
  if (report.emulation) text += " (emulation)";
  if (!report.kernel_target.empty()) text += ", kernels " + report.kernel_target;
  text += ", " + std::to_string(report.threads) + " threads\n";
  text += report.cpu + ", " + std::to_string(report.usable_cpus) + " usable CPUs\n";
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

std::string figures(const Report& report) {
  Table table({{"measured", false},
               {"unit", false},
               {"min", true},
               {"median", true},
               {"max", true},
               {"times", true},
               {"others", true}});
  for (const Load& load : report.loads) {
    const std::string cache = load.cold ? "cold" : "warm";
    add(table, "load, " + cache, "ms", load.load, load.others);
    add(table, "load to first token, " + cache, "ms", load.first_token, load.others);
  }
  if (report.turn.has_value()) {
    const Turn& turn = *report.turn;
    const std::string of = turn.picture ? "picture turn" : "turn";
    add_single(table, of + ", first, TTFT", "ms", turn.first_ttft);
    if (turn.picture) {
      add(table, "picture, decoded and resized", "ms", turn.image, turn.others);
      add(table, "vision", "ms", turn.vision, turn.others);
    }
    add(table, of + ", prefill of " + std::to_string(turn.prompt_tokens), "ms", turn.prefill,
        turn.others);
    add(table, of + ", TTFT", "ms", turn.ttft, turn.others);
    add(table, turn.picture ? "same picture, second question, TTFT" : "second question, TTFT", "ms",
        turn.second_ttft, turn.others);
  }
  for (const TextRate& rate : report.prefill) {
    add(table, "prefill of " + std::to_string(rate.tokens), "tok/s",
        rate.ms.rates(1e3 * static_cast<double>(rate.tokens)), rate.others);
  }
  for (const TextRate& rate : report.decode) {
    add(table, "decode after " + std::to_string(rate.tokens), "tok/s",
        rate.ms.rates(1e3 * static_cast<double>(report.steps)), rate.others);
  }
  return table.to_text("");
}

std::string shares(const Report& report) {
  if (report.stages.empty()) return "";
  Table stages({{"stage", false}, {"share", true}, {"ms", true}, {"runs", true}});
  for (const StageShare& stage : report.stages) {
    stages.add({stage.stage, percent(stage.share), figure(stage.ms), std::to_string(stage.runs)});
  }
  std::string text = "\none turn with its answer\n" + stages.to_text("  ");
  if (report.ops.empty()) return text + "  the library does not tell what its operations take\n";
  Table ops({{"stage", false}, {"op", false}, {"share", true}, {"nodes", true}});
  for (const OpShare& op : report.ops)
    ops.add({op.stage, op.op, percent(op.share), std::to_string(op.nodes)});
  return text + "\noperations within each stage\n" + ops.to_text("  ");
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = head(report) + "\n" + figures(report);
  text += "\nmemory: " + gigabytes(report.loaded_rss) + " when loaded, " +
          gigabytes(report.peak_rss) + " at most\n";
  return text + shares(report);
}

}  // namespace qhx::bench
