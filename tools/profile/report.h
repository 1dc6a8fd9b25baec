// What `qhx profile` finds out: simulated times of a model's graphs on a device.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/status.h"
#include "qnn/simulated_trace.h"

namespace qhx::profile {

// Sums over some of a graph's events.
struct Sums {
  std::uint64_t events = 0;
  // Busy microseconds by qnn::SimulatedUnit, added up over its threads.
  std::array<double, qnn::kSimulatedUnits.size()> busy_us{};
  double time_us = 0;   // the part of the graph's time, see Overlap
  double alone_us = 0;  // of it, while no other unit is busy: the graph waits for these
  std::uint64_t read_bytes = 0, written_bytes = 0;  // of the chip's main memory

  double busy(qnn::SimulatedUnit unit) const { return busy_us[static_cast<std::size_t>(unit)]; }
  // Of the units that work; control mostly waits.
  double working_us() const;
};

struct Row {
  std::string name;
  Sums sums;
};

// A bar of the timeline.
struct Span {
  std::int64_t track = 0;
  double start_us = 0, us = 0;
  std::string kind, operation;
};

enum class Stage { kVision, kPrefill, kDecode, kHead };
std::string_view name(Stage stage);  // "vision", "prefill", "decode", "lmhead"
Result<Stage> parse_stage(std::string_view text);

struct GraphProfile {
  std::string graph;
  Stage stage = Stage::kVision;
  std::uint32_t rows = 0, context_rows = 0;  // of the text decoder's graphs
  std::uint32_t layers = 0, of_layers = 0;   // in the graph, in the model; 0: it has none
  std::string target;                        // "v79"
  std::int32_t corner = 0;
  qnn::SimulatedFacts facts;
  double us = 0;
  Sums total;
  // Time in which only this unit is busy, by qnn::SimulatedUnit; several; none of them.
  std::array<double, qnn::kSimulatedUnits.size()> alone_us{};
  double several_us = 0, none_us = 0;
  double outside_us = 0;  // the part of the time that does not grow with the layers
  std::uint64_t spilled_bytes = 0, filled_bytes = 0;
  // Sums by: operation of the library; QNN operation; place in a layer, over all layers; layer or
  // other part of the graph; and the operations that take longest, with their layer. Falling by
  // time.
  std::vector<Row> kinds, types, places, parts, operations;
  // Longest first; what is left out is short.
  std::vector<Span> timeline;
  double finalize_seconds = 0;
  std::uint64_t peak_resident_bytes = 0;

  bool whole() const { return layers == of_layers; }
  double layer_us() const;  // of one layer
  // Of all the model's layers: exact, or by what a layer takes.
  double model_us() const;
};

// What follows for a user of one target.
struct Derived {
  std::string target;
  bool extrapolated = false;
  std::uint32_t prompt_tokens = 0;  // of a picture and its text; 0: no such turn was simulated
  double first_token_us = 0;
  struct Speed {
    std::uint32_t context_rows = 0;
    double tokens_per_second = 0;
  };
  std::vector<Speed> decode;
};

// A graph that could not be simulated.
struct Failure {
  std::string target, graph;
  Status status;
};

struct Report {
  std::string model, weights, image;
  bool drawn_weights = false;
  std::uint32_t image_tokens = 0;
  std::vector<GraphProfile> graphs;
  std::vector<Failure> failures;  // known where the report was made, not in its JSON's reader
  std::vector<Derived> derived;
};

// Text tokens next to the picture in the turn of Derived.
inline constexpr std::uint32_t kTextTokens = 64;

std::vector<Derived> derive(const Report& report);

nlohmann::ordered_json print_json(const Report& report);
// Of what print_json() printed; the timeline is not in it.
Result<Report> parse_json(std::string_view text);

std::string print_text(const Report& report, std::size_t rows);
// One file without outside resources.
std::string print_html(const Report& report);
// Graphs of both reports side by side; those of one alone are named.
std::string print_diff(const Report& before, const Report& after, std::size_t rows);

}  // namespace qhx::profile
