#include "inspect/table.h"
#include "profile/numbers.h"
#include "profile/report.h"

namespace qhx::profile {
namespace {

using inspect::Table;
using qnn::SimulatedUnit;

std::string title(const Report& report) {
  std::string text = "Simulated by the vendor's library, not measured on a device.\n";
  text += "Model " + report.model + ", weights " + report.weights;
  if (report.drawn_weights) text += " (drawn, not the model's)";
  if (!report.image.empty()) text += ", picture " + report.image;
  return text + "\n";
}

std::string heading(const GraphProfile& graph) {
  std::string text = "\n" + graph.target + " (" + graph.facts.soc + "), graph " + graph.graph;
  if (!graph.whole()) {
    text += ", the first " + std::to_string(graph.layers) + " of " +
            std::to_string(graph.of_layers) + " layers";
  }
  const auto share = [&](SimulatedUnit unit) {
    return percent(graph.alone_us[static_cast<std::size_t>(unit)], graph.us) + " %";
  };
  return text + "; busy alone: HMX " + share(SimulatedUnit::kMatrix) + ", HVX " +
         share(SimulatedUnit::kVector) + ", DMA " + share(SimulatedUnit::kTransfer) + "; several " +
         percent(graph.several_us, graph.us) + " %, none " + percent(graph.none_us, graph.us) +
         " %\n";
}

Table stages() {
  return Table({{"target", false},
                {"graph", false},
                {"layers", true},
                {"ms", true},
                {"per layer", true},
                {"whole ms", true},
                {"HMX %", true},
                {"HVX %", true},
                {"DMA %", true},
                {"read MB", true},
                {"written MB", true},
                {"spill MB", true},
                {"fill MB", true},
                {"VTCM MB", true}});
}

void add_stage(Table& table, const GraphProfile& graph) {
  const bool layered = graph.of_layers > 0;
  const double threads = graph.facts.vector_threads == 0 ? 1 : graph.facts.vector_threads;
  table.add({graph.target, graph.graph,
             layered ? std::to_string(graph.layers) + "/" + std::to_string(graph.of_layers) : "",
             milliseconds(graph.us), layered ? milliseconds(graph.layer_us()) : "",
             (graph.whole() ? "" : "~") + milliseconds(graph.model_us()),
             percent(graph.total.busy(SimulatedUnit::kMatrix), graph.us),
             percent(graph.total.busy(SimulatedUnit::kVector), graph.us * threads),
             percent(graph.total.busy(SimulatedUnit::kTransfer), graph.us),
             megabytes(graph.total.read_bytes), megabytes(graph.total.written_bytes),
             megabytes(graph.spilled_bytes), megabytes(graph.filled_bytes),
             megabytes(graph.facts.vtcm_peak_bytes)});
}

std::string rows_text(const std::string& what, const std::vector<Row>& rows, std::size_t most) {
  if (most == 0 || rows.empty()) return "";
  Table table({{what, false},
               {"events", true},
               {"time ms", true},
               {"alone ms", true},
               {"HMX ms", true},
               {"HVX ms", true},
               {"DMA ms", true},
               {"read MB", true},
               {"written MB", true}});
  for (std::size_t i = 0; i < rows.size() && i < most; ++i) {
    const Sums& sums = rows[i].sums;
    table.add({rows[i].name, std::to_string(sums.events), milliseconds(sums.time_us),
               milliseconds(sums.alone_us), milliseconds(sums.busy(SimulatedUnit::kMatrix)),
               milliseconds(sums.busy(SimulatedUnit::kVector)),
               milliseconds(sums.busy(SimulatedUnit::kTransfer)), megabytes(sums.read_bytes),
               megabytes(sums.written_bytes)});
  }
  return table.to_text("  ");
}

std::string clocks(const GraphProfile& graph) {
  char text[200];
  std::snprintf(text, sizeof text,
                "%s: %s at corner %d: cores %.0f MHz, HMX %.0f, memory %.0f, %u HVX threads; "
                "library %s\n",
                graph.target.c_str(), graph.facts.soc.c_str(), graph.corner, graph.facts.core_mhz,
                graph.facts.matrix_mhz, graph.facts.memory_mhz, graph.facts.vector_threads,
                graph.facts.library.c_str());
  return text;
}

std::string derived_text(const Derived& derived) {
  std::string text;
  const std::string about = derived.extrapolated ? "about " : "";
  if (derived.prompt_tokens > 0) {
    text += derived.target + ": first token after a picture and " + std::to_string(kTextTokens) +
            " text tokens (" + std::to_string(derived.prompt_tokens) + "): " + about +
            milliseconds(derived.first_token_us) + " ms\n";
  }
  for (const Derived::Speed& speed : derived.decode) {
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.1f", speed.tokens_per_second);
    text += derived.target + ": decode at context " + std::to_string(speed.context_rows) + ": " +
            about + rate + " tokens/s (" + milliseconds(1e6 / speed.tokens_per_second) +
            " ms a token, lm-head included)\n";
  }
  return text;
}

}  // namespace

std::string print_text(const Report& report, std::size_t rows) {
  std::string text = title(report);
  Table table = stages();
  std::string last;
  for (const GraphProfile& graph : report.graphs) {
    if (graph.target != last) text += clocks(graph);
    last = graph.target;
    add_stage(table, graph);
  }
  text += "\n" + table.to_text("");
  for (const Failure& failure : report.failures)
    text += "not simulated: " + failure.status.message() + "\n";
  if (!report.derived.empty()) text += "\n";
  for (const Derived& derived : report.derived) text += derived_text(derived);
  for (const GraphProfile& graph : report.graphs) {
    if (rows == 0) break;
    text += heading(graph);
    text += rows_text("library operation", graph.kinds, rows);
    text += rows_text("place in a layer, all layers", graph.places, rows);
    text += rows_text("longest operation", graph.operations, rows);
  }
  return text;
}

}  // namespace qhx::profile
