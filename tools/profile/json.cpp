#include <nlohmann/json.hpp>

#include "profile/report.h"

namespace qhx::profile {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// The most rows of a table that are written; what follows is small.
constexpr std::size_t kMostRows = 60;

ordered_json sums_json(const Sums& sums) {
  ordered_json busy;
  for (const qnn::SimulatedUnit unit : qnn::kSimulatedUnits)
    busy[std::string(name(unit))] = sums.busy(unit);
  return {{"events", sums.events},         {"busy_us", busy},
          {"time_us", sums.time_us},       {"alone_us", sums.alone_us},
          {"read_bytes", sums.read_bytes}, {"written_bytes", sums.written_bytes}};
}

ordered_json rows_json(const std::vector<Row>& rows) {
  ordered_json out = ordered_json::array();
  for (const Row& row : rows) {
    if (out.size() == kMostRows) break;
    ordered_json item{{"name", row.name}};
    item.update(sums_json(row.sums));
    out.push_back(std::move(item));
  }
  return out;
}

ordered_json graph_json(const GraphProfile& graph) {
  ordered_json out{{"graph", graph.graph},
                   {"stage", name(graph.stage)},
                   {"target", graph.target},
                   {"soc", graph.facts.soc},
                   {"corner", graph.corner},
                   {"library", graph.facts.library},
                   {"core_mhz", graph.facts.core_mhz},
                   {"matrix_mhz", graph.facts.matrix_mhz},
                   {"memory_mhz", graph.facts.memory_mhz},
                   {"vector_threads", graph.facts.vector_threads},
                   {"rows", graph.rows},
                   {"context_rows", graph.context_rows},
                   {"layers", graph.layers},
                   {"of_layers", graph.of_layers},
                   {"simulated_us", graph.us},
                   {"model_us", graph.model_us()},
                   {"layer_us", graph.layer_us()},
                   {"outside_layers_us", graph.outside_us},
                   {"extrapolated", !graph.whole()},
                   {"vtcm_bytes", graph.facts.vtcm_bytes},
                   {"vtcm_peak_bytes", graph.facts.vtcm_peak_bytes},
                   {"spilled_bytes", graph.spilled_bytes},
                   {"filled_bytes", graph.filled_bytes},
                   {"finalize_seconds", graph.finalize_seconds},
                   {"peak_resident_bytes", graph.peak_resident_bytes},
                   {"total", sums_json(graph.total)}};
  ordered_json alone;
  for (const qnn::SimulatedUnit unit : qnn::kSimulatedUnits)
    alone[std::string(name(unit))] = graph.alone_us[static_cast<std::size_t>(unit)];
  out["time_us"] = {{"alone", alone}, {"several", graph.several_us}, {"none", graph.none_us}};
  out["kinds"] = rows_json(graph.kinds);
  out["types"] = rows_json(graph.types);
  out["places"] = rows_json(graph.places);
  out["parts"] = rows_json(graph.parts);
  out["operations"] = rows_json(graph.operations);
  return out;
}

ordered_json derived_json(const Derived& derived) {
  ordered_json out{{"target", derived.target}, {"extrapolated", derived.extrapolated}};
  if (derived.prompt_tokens > 0) {
    out["first_token"] = {{"prompt_tokens", derived.prompt_tokens},
                          {"simulated_us", derived.first_token_us}};
  }
  out["decode"] = ordered_json::array();
  for (const Derived::Speed& speed : derived.decode) {
    out["decode"].push_back(
        {{"context_rows", speed.context_rows}, {"tokens_per_second", speed.tokens_per_second}});
  }
  return out;
}

Sums parse_sums(const json& from) {
  Sums sums;
  sums.events = from.at("events").get<std::uint64_t>();
  for (const qnn::SimulatedUnit unit : qnn::kSimulatedUnits) {
    sums.busy_us[static_cast<std::size_t>(unit)] =
        from.at("busy_us").at(std::string(name(unit))).get<double>();
  }
  sums.time_us = from.at("time_us").get<double>();
  sums.alone_us = from.at("alone_us").get<double>();
  sums.read_bytes = from.at("read_bytes").get<std::uint64_t>();
  sums.written_bytes = from.at("written_bytes").get<std::uint64_t>();
  return sums;
}

std::vector<Row> parse_rows(const json& from) {
  std::vector<Row> rows;
  for (const json& item : from)
    rows.push_back({item.at("name").get<std::string>(), parse_sums(item)});
  return rows;
}

Result<GraphProfile> parse_graph(const json& from) {
  GraphProfile graph;
  graph.graph = from.at("graph").get<std::string>();
  QHX_ASSIGN_OR_RETURN(graph.stage, parse_stage(from.at("stage").get<std::string>()));
  graph.target = from.at("target").get<std::string>();
  graph.facts.soc = from.at("soc").get<std::string>();
  graph.corner = from.at("corner").get<std::int32_t>();
  graph.facts.library = from.at("library").get<std::string>();
  graph.facts.core_mhz = from.at("core_mhz").get<double>();
  graph.facts.matrix_mhz = from.at("matrix_mhz").get<double>();
  graph.facts.memory_mhz = from.at("memory_mhz").get<double>();
  graph.facts.vector_threads = from.at("vector_threads").get<std::uint32_t>();
  graph.rows = from.at("rows").get<std::uint32_t>();
  graph.context_rows = from.at("context_rows").get<std::uint32_t>();
  graph.layers = from.at("layers").get<std::uint32_t>();
  graph.of_layers = from.at("of_layers").get<std::uint32_t>();
  if (graph.layers == 0 && graph.of_layers != 0)
    return corrupt("graph " + graph.graph + ": layers: expected more than 0, found 0");
  graph.us = from.at("simulated_us").get<double>();
  graph.outside_us = from.at("outside_layers_us").get<double>();
  graph.facts.vtcm_bytes = from.at("vtcm_bytes").get<std::uint64_t>();
  graph.facts.vtcm_peak_bytes = from.at("vtcm_peak_bytes").get<std::uint64_t>();
  graph.spilled_bytes = from.at("spilled_bytes").get<std::uint64_t>();
  graph.filled_bytes = from.at("filled_bytes").get<std::uint64_t>();
  graph.finalize_seconds = from.at("finalize_seconds").get<double>();
  graph.peak_resident_bytes = from.at("peak_resident_bytes").get<std::uint64_t>();
  graph.total = parse_sums(from.at("total"));
  const json& time = from.at("time_us");
  for (const qnn::SimulatedUnit unit : qnn::kSimulatedUnits) {
    graph.alone_us[static_cast<std::size_t>(unit)] =
        time.at("alone").at(std::string(name(unit))).get<double>();
  }
  graph.several_us = time.at("several").get<double>();
  graph.none_us = time.at("none").get<double>();
  graph.kinds = parse_rows(from.at("kinds"));
  graph.types = parse_rows(from.at("types"));
  graph.places = parse_rows(from.at("places"));
  graph.parts = parse_rows(from.at("parts"));
  graph.operations = parse_rows(from.at("operations"));
  return graph;
}

Result<Report> parse(const json& from) {
  if (from.at("format") != "qhx-profile-1")
    return unsupported("format: expected qhx-profile-1, found " + from.at("format").dump());
  Report report;
  report.model = from.at("model").get<std::string>();
  report.weights = from.at("weights").get<std::string>();
  report.image = from.at("image").get<std::string>();
  report.drawn_weights = from.at("drawn_weights").get<bool>();
  report.image_tokens = from.at("image_tokens").get<std::uint32_t>();
  for (const json& item : from.at("graphs")) {
    QHX_ASSIGN_OR_RETURN(GraphProfile graph, parse_graph(item));
    report.graphs.push_back(std::move(graph));
  }
  report.derived = derive(report);
  return report;
}

}  // namespace

ordered_json print_json(const Report& report) {
  ordered_json out{{"format", "qhx-profile-1"},
                   {"simulated", true},
                   {"model", report.model},
                   {"weights", report.weights},
                   {"image", report.image},
                   {"drawn_weights", report.drawn_weights},
                   {"image_tokens", report.image_tokens}};
  out["graphs"] = ordered_json::array();
  for (const GraphProfile& graph : report.graphs) out["graphs"].push_back(graph_json(graph));
  out["failures"] = ordered_json::array();
  for (const Failure& failure : report.failures) {
    out["failures"].push_back({{"target", failure.target},
                               {"graph", failure.graph},
                               {"error", failure.status.message()}});
  }
  out["derived"] = ordered_json::array();
  for (const Derived& derived : report.derived) out["derived"].push_back(derived_json(derived));
  return out;
}

Result<Report> parse_json(std::string_view text) {
  try {
    return parse(json::parse(text));
  } catch (const json::exception& error) {
    return corrupt(std::string("is no report of qhx profile --json: ") + error.what());
  }
}

}  // namespace qhx::profile
