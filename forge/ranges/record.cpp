#include "forge/ranges/record.h"

#include <array>
#include <bit>
#include <cstdlib>

#include "forge/ranges/stages.h"

namespace qhx::forge {
namespace {

// Four significant digits: these are for people.
double rounded(double value) { return std::strtod(in_digits(value, 4).c_str(), nullptr); }

// A row for each layer; all zero where it computes in floats.
template <class Reach>
nlohmann::json print_reaches(const std::vector<Reach>& reaches) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Reach& reach : reaches)
    rows.push_back(std::bit_cast<std::array<float, sizeof(Reach) / sizeof(float)>>(reach));
  return rows;
}

template <class Reach>
std::vector<Reach> parse_reaches(const nlohmann::json& rows) {
  using Numbers = std::array<float, sizeof(Reach) / sizeof(float)>;
  std::vector<Reach> reaches;
  for (const nlohmann::json& row : rows)
    reaches.push_back(std::bit_cast<Reach>(row.get<Numbers>()));
  return reaches;
}

}  // namespace

nlohmann::ordered_json range_record(const hf::ModelConfig& config, const RangeReport& report) {
  nlohmann::ordered_json record;
  record["inputs"] = report.inputs;
  record["warnings"] = report.warnings;
  record["floats"] = report.floats;
  record["scaled"] = nlohmann::ordered_json::object();
  record["tensors"] = nlohmann::ordered_json::object();
  for (const MeasuredStage& stage : measured_stages(config)) {
    const auto found = report.ranges.find(stage.name);
    if (found == report.ranges.end()) continue;
    const Range& range = found->second;
    record["tensors"][stage.name] = {{"max", rounded(static_cast<double>(range.largest()))},
                                     {"rms", rounded(range.rms())},
                                     {"median", rounded(static_cast<double>(range.median()))}};
    if (const int exponent = stage.exponent(report.plan); exponent != 0)
      record["scaled"][stage.name] = exponent;
  }
  return record;
}

nlohmann::json print_plan(const ScalePlan& plan) {
  nlohmann::json text = nlohmann::json::array();
  for (const TextScales& s : plan.text) text.push_back({s.attention, s.q, s.k, s.mlp});
  return {{"vision_residual", plan.vision_residual},
          {"vision_attention", plan.vision_attention},
          {"deepstack", plan.deepstack},
          {"text_residual", plan.text_residual},
          {"text", text},
          {"integer_vision_mlp", print_reaches(plan.integers.vision_mlp)},
          {"integer_text_o", print_reaches(plan.integers.text_o)},
          {"integer_text_mlp", print_reaches(plan.integers.text_mlp)}};
}

ScalePlan parse_plan(const nlohmann::json& json) {
  ScalePlan plan;
  plan.vision_residual = json.at("vision_residual").get<int>();
  plan.vision_attention = json.at("vision_attention").get<std::vector<int>>();
  plan.deepstack = json.at("deepstack").get<std::vector<int>>();
  plan.text_residual = json.at("text_residual").get<int>();
  for (const nlohmann::json& layer : json.at("text")) {
    plan.text.push_back({.attention = layer.at(0).get<int>(),
                         .q = layer.at(1).get<int>(),
                         .k = layer.at(2).get<int>(),
                         .mlp = layer.at(3).get<int>()});
  }
  plan.integers = {.vision_mlp = parse_reaches<MlpReach>(json.at("integer_vision_mlp")),
                   .text_o = parse_reaches<LinearReach>(json.at("integer_text_o")),
                   .text_mlp = parse_reaches<GatedMlpReach>(json.at("integer_text_mlp"))};
  return plan;
}

}  // namespace qhx::forge
