#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "profile/html_text.h"
#include "profile/numbers.h"
#include "profile/report.h"

namespace qhx::profile {
namespace {

using qnn::SimulatedUnit;

constexpr double kWidth = 1400, kLane = 18, kLabel = 70;

constexpr const char* kStyle =
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1500px;padding:0 1em}"
    "table{border-collapse:collapse;margin:.7em 0 1.6em;font-variant-numeric:tabular-nums}"
    "th,td{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}th{background:#f3f3f3}"
    "svg{background:#fafafa;border:1px solid #ddd;width:100%;height:auto}"
    "svg text{font:11px sans-serif}.note{background:#fff4d6;padding:.6em 1em}";

struct Html {
  std::string text;

  void line(const std::string& tag, const std::string& content) {
    text += "<" + tag + ">" + html_text(content) + "</" + tag.substr(0, tag.find(' ')) + ">\n";
  }
  void row(const char* cell, const std::vector<std::string>& cells) {
    text += "<tr>";
    for (const std::string& content : cells)
      text += std::string("<") + cell + ">" + html_text(content) + "</" + cell + ">";
    text += "</tr>\n";
  }
};

std::string format(const char* text, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, text, value);
  return buffer;
}

// The same colour for the same kind in every graph.
std::string colour(const std::string& kind) {
  std::uint32_t hash = 2166136261u;
  for (const char c : kind) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return "hsl(" + std::to_string(hash % 360) + "," + std::to_string(50 + hash / 360 % 30) + "%," +
         std::to_string(45 + hash / 10800 % 20) + "%)";
}

void rows_table(Html& html, const std::string& title, const std::vector<Row>& rows) {
  if (rows.empty()) return;
  html.line("h3", title);
  html.text += "<table>\n";
  html.row("th", {"", "events", "time ms", "alone ms", "HMX ms", "HVX ms", "DMA ms", "read MB",
                  "written MB"});
  for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), 30); ++i) {
    const Sums& sums = rows[i].sums;
    html.row("td", {rows[i].name, std::to_string(sums.events), milliseconds(sums.time_us),
                    milliseconds(sums.alone_us), milliseconds(sums.busy(SimulatedUnit::kMatrix)),
                    milliseconds(sums.busy(SimulatedUnit::kVector)),
                    milliseconds(sums.busy(SimulatedUnit::kTransfer)), megabytes(sums.read_bytes),
                    megabytes(sums.written_bytes)});
  }
  html.text += "</table>\n";
}

// A lane for each track that has a span, in the simulator's order.
void timeline(Html& html, const GraphProfile& graph) {
  std::map<std::int64_t, double> lanes;
  for (const Span& span : graph.timeline) lanes[span.track] = 0;
  if (lanes.empty() || graph.us <= 0) return;
  double y = 0;
  for (auto& [track, top] : lanes) {
    top = y;
    y += kLane;
  }
  html.line("h3", "Timeline of the " + std::to_string(graph.timeline.size()) + " longest events");
  html.text += "<svg viewBox=\"0 0 " + format("%.0f", kWidth + kLabel) + " " +
               format("%.0f", y + kLane) + "\">\n";
  for (const auto& [track, top] : lanes) {
    const auto found = graph.facts.tracks.find(track);
    const std::string label =
        found == graph.facts.tracks.end() ? std::to_string(track) : found->second;
    html.text +=
        "<text x=\"2\" y=\"" + format("%.0f", top + 13) + "\">" + html_text(label) + "</text>\n";
  }
  for (const Span& span : graph.timeline) {
    const double x = kLabel + kWidth * span.start_us / graph.us;
    const double width = std::max(kWidth * span.us / graph.us, 0.3);
    html.text += "<rect x=\"" + format("%.1f", x) + "\" y=\"" +
                 format("%.0f", lanes[span.track] + 1) + "\" width=\"" + format("%.1f", width) +
                 "\" height=\"16\" fill=\"" + colour(span.kind) + "\"><title>" +
                 html_text(span.kind + ", " + span.operation + ", " + format("%.1f us", span.us) +
                           " at " + format("%.1f us", span.start_us)) +
                 "</title></rect>\n";
  }
  html.text += "<text x=\"" + format("%.0f", kLabel) + "\" y=\"" + format("%.0f", y + 13) +
               "\">0</text><text text-anchor=\"end\" x=\"" + format("%.0f", kLabel + kWidth) +
               "\" y=\"" + format("%.0f", y + 13) + "\">" + milliseconds(graph.us) +
               " ms</text>\n</svg>\n";
}

void stage_table(Html& html, const Report& report) {
  html.text += "<table>\n";
  html.row("th",
           {"graph", "target", "SoC", "corner", "layers", "simulated ms", "whole model ms", "HMX %",
            "HVX %", "DMA %", "read MB", "written MB", "spill MB", "fill MB", "VTCM MB"});
  for (const GraphProfile& graph : report.graphs) {
    const double threads = std::max(1u, graph.facts.vector_threads);
    html.row("td",
             {graph.graph, graph.target, graph.facts.soc, std::to_string(graph.corner),
              graph.of_layers == 0
                  ? ""
                  : std::to_string(graph.layers) + " of " + std::to_string(graph.of_layers),
              milliseconds(graph.us), (graph.whole() ? "" : "~") + milliseconds(graph.model_us()),
              percent(graph.total.busy(SimulatedUnit::kMatrix), graph.us),
              percent(graph.total.busy(SimulatedUnit::kVector), graph.us * threads),
              percent(graph.total.busy(SimulatedUnit::kTransfer), graph.us),
              megabytes(graph.total.read_bytes), megabytes(graph.total.written_bytes),
              megabytes(graph.spilled_bytes), megabytes(graph.filled_bytes),
              megabytes(graph.facts.vtcm_peak_bytes)});
  }
  html.text += "</table>\n";
}

void derived_list(Html& html, const Report& report) {
  for (const Derived& derived : report.derived) {
    const std::string about = derived.extrapolated ? "about " : "";
    if (derived.prompt_tokens > 0) {
      html.line("p", derived.target + ": first token after a picture and " +
                         std::to_string(kTextTokens) + " text tokens: " + about +
                         milliseconds(derived.first_token_us) + " ms");
    }
    for (const Derived::Speed& speed : derived.decode) {
      html.line("p", derived.target + ": decode at context " + std::to_string(speed.context_rows) +
                         ": " + about + format("%.1f", speed.tokens_per_second) + " tokens/s");
    }
  }
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::string print_html(const Report& report) {
  Html html;
  html.text =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>qhx profile: " +
      html_text(report.model) + "</title><style>" + kStyle + "</style></head><body>\n";
  html.line("h1", report.model + ", weights " + report.weights +
                      (report.drawn_weights ? " (drawn)" : "") +
                      (report.image.empty() ? "" : ", picture " + report.image));
  html.line("p class=\"note\"",
            "Simulated by the vendor's library" +
                (report.graphs.empty() ? "" : " " + report.graphs.front().facts.library) +
                ", not measured on a device: host, calls and heat are not in these times.");
  stage_table(html, report);
  for (const Failure& failure : report.failures)
    html.line("p", "not simulated: " + failure.status.message());
  derived_list(html, report);
  for (const GraphProfile& graph : report.graphs) {
    html.line("h2", graph.target + " (" + graph.facts.soc + "): " + graph.graph);
    timeline(html, graph);
    rows_table(html, "By operation of the library", graph.kinds);
    rows_table(html, "By operation type of the graph", graph.types);
    rows_table(html, "By place in a layer, all layers", graph.places);
    rows_table(html, "By part of the graph", graph.parts);
    rows_table(html, "Longest operations", graph.operations);
  }
  html.text += "</body></html>\n";
  return std::move(html.text);
}

}  // namespace qhx::profile
