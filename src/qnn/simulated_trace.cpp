#include "qnn/simulated_trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace qhx::qnn {
namespace {

using nlohmann::json;

constexpr std::size_t kMostTracks = 1024;
constexpr double kMostCycles = 1e15;  // days: beyond it the file is nonsense

// "default_dma (q::ConvLayer.opt)" -> "ConvLayer.opt", "q::*InputSlice" -> "InputSlice".
std::string_view plain_kind(std::string_view name) {
  if (const std::size_t open = name.find(" ("); open != std::string_view::npos) {
    name.remove_prefix(open + 2);
    if (name.ends_with(')')) name.remove_suffix(1);
  }
  if (name.starts_with("q::")) name.remove_prefix(3);
  if (name.starts_with('*') || name.starts_with('@')) name.remove_prefix(1);
  return name;
}

// The operation's number is the lower half of the event's: "0x9f7b00000002". 0 for anything else.
std::uint32_t operation_number(std::string_view id) {
  if (!id.starts_with("0x")) return 0;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data() + 2, id.data() + id.size(), number, 16);
  return error == std::errc() && end == id.data() + id.size() ? static_cast<std::uint32_t>(number)
                                                              : 0;
}

// One element of "traceEvents" as far as it is used.
struct RawEvent {
  std::string phase, name, id, track_name;
  double start = -1, duration = -1, counter = 0;
  std::int64_t track = 0;
  std::uint64_t read_bytes = 0, written_bytes = 0;
  bool matrix = false, vector = false, transfer = false;
};

// Follows where in the document a value is. Depth is counted in containers; only the first
// kKept names on the way are remembered, nothing that is used lies deeper.
class Handler : public nlohmann::json_sax<json> {
 public:
  explicit Handler(const SeeEvent& see) : see_(see) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    return number(static_cast<double>(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return number(value); }
  bool binary(binary_t&) override { return true; }

  bool string(string_t& value) override {
    if (in_event() && depth_ == kEventDepth) {
      if (key() == "name")
        event_.name = std::move(value);
      else if (key() == "ph")
        event_.phase = std::move(value);
    } else if (in_event() && depth_ == kEventDepth + 1 && keys_[kEventDepth] == "args") {
      if (key() == "id")
        event_.id = std::move(value);
      else if (key() == "name")
        event_.track_name = std::move(value);
    } else if (in_event() && depth_ == kEventDepth + 2 && keys_[kEventDepth + 1] == "flags") {
      event_.matrix |= value == "uses_hmx" || value == "for_hmx";
      event_.vector |= value == "for_hvx";
      event_.transfer |= value == "for_dma";
    } else if (depth_ == 2 && keys_[1] == "Hextimate Configuration" && key() == "soc_type") {
      facts_.soc = std::move(value);
    } else if (depth_ == 2 && keys_[1] == "Trace Provenance" && key() == "Hexagon-NN SHA") {
      facts_.library = std::move(value);
      while (facts_.library.ends_with('.')) facts_.library.pop_back();
    }
    return true;
  }

  bool key(string_t& value) override {
    if (depth_ < kKept) keys_[depth_] = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    enter();
    if (in_event() && depth_ == kEventDepth) event_ = {};
    return true;
  }
  bool end_object() override {
    if (in_event() && depth_ == kEventDepth && !finish_event()) return false;
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    enter();
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    status_ = corrupt("is cut off or no JSON at byte " + std::to_string(position));
    return false;
  }

  Result<SimulatedFacts> finish() {
    QHX_RETURN_IF_ERROR(status_);
    if (facts_.cycles <= 0) return corrupt("traceEvents: no event with a time");
    if (!(facts_.core_mhz >= 1) || !(facts_.core_mhz < 1e6))
      return corrupt("Hextimate Configuration: sim_core_freq: expected the clock in MHz, found " +
                     std::to_string(facts_.core_mhz));
    return std::move(facts_);
  }

 private:
  // {"traceEvents": [{"args": {"flags": [ …: the document is at depth 1, an event at 3.
  static constexpr std::size_t kEventDepth = 3, kKept = 6;

  void enter() {
    ++depth_;
    if (depth_ < kKept) keys_[depth_].clear();
  }
  // Name of the value that is being read.
  const std::string& key() const { return keys_[std::min(depth_, kKept - 1)]; }
  bool in_event() const { return depth_ >= kEventDepth && keys_[1] == "traceEvents"; }

  bool number(double value) {
    if (in_event()) {
      event_number(value);
    } else if (depth_ == 2 && keys_[1] == "Hextimate Configuration") {
      if (key() == "sim_core_freq") facts_.core_mhz = value;
      if (key() == "sim_hmx_freq") facts_.matrix_mhz = value;
      if (key() == "sim_ddr_freq") facts_.memory_mhz = value;
      if (key() == "hvx_threads") facts_.vector_threads = static_cast<std::uint32_t>(whole(value));
      if (key() == "vtcm_size_in_bytes") facts_.vtcm_bytes = whole(value);
    }
    return true;
  }

  void event_number(double value) {
    if (depth_ == kEventDepth) {
      if (key() == "ts") event_.start = value;
      if (key() == "dur") event_.duration = value;
      if (key() == "tid") event_.track = static_cast<std::int64_t>(whole(value));
    } else if (depth_ == kEventDepth + 1 && keys_[kEventDepth] == "args") {
      if (key() == "Bytes") event_.counter = value;
    } else if (depth_ == kEventDepth + 2 && keys_[kEventDepth + 1] == "bw_info") {
      if (key() == "dram_read") event_.read_bytes = whole(value);
      if (key() == "dram_write") event_.written_bytes = whole(value);
    }
  }

  // Clamped to what is exact in a double and adds up without overflow.
  static std::uint64_t whole(double value) {
    return value >= 0 && value < 0x1p52 ? static_cast<std::uint64_t>(value) : 0;
  }

  bool finish_event() {
    if (event_.phase == "X") return finish_span();
    if (event_.phase == "C" && event_.name == "TCM usage")
      facts_.vtcm_peak_bytes = std::max(facts_.vtcm_peak_bytes, whole(event_.counter));
    if (event_.phase == "M" && event_.name == "thread_name" && facts_.tracks.size() < kMostTracks) {
      while (event_.track_name.ends_with(':')) event_.track_name.pop_back();
      facts_.tracks[event_.track] = std::move(event_.track_name);
    }
    return true;
  }

  bool finish_span() {
    const double end = event_.start + event_.duration;
    if (!(event_.start >= 0) || !(event_.duration >= 0) || !(end < kMostCycles)) {
      status_ = corrupt("traceEvents: event " + event_.name +
                        ": expected a start (ts) and a duration (dur), found " +
                        std::to_string(event_.start) + " and " + std::to_string(event_.duration));
      return false;
    }
    facts_.cycles = std::max(facts_.cycles, end);
    SimulatedEvent event{.kind = plain_kind(event_.name),
                         .operation = operation_number(event_.id),
                         .unit = SimulatedUnit::kControl,
                         .track = event_.track,
                         .start = event_.start,
                         .cycles = event_.duration,
                         .read_bytes = 0,
                         .written_bytes = 0};
    if (event_.matrix) event.unit = SimulatedUnit::kMatrix;
    if (event_.vector) event.unit = SimulatedUnit::kVector;
    if (event_.transfer) event.unit = SimulatedUnit::kTransfer;
    // Control events repeat the bytes of the transfers that they start.
    if (event.unit != SimulatedUnit::kControl) {
      event.read_bytes = event_.read_bytes;
      event.written_bytes = event_.written_bytes;
    }
    see_(event);
    return true;
  }

  const SeeEvent& see_;
  std::size_t depth_ = 0;
  std::array<std::string, kKept> keys_;  // at each depth, of the value being read there
  RawEvent event_;
  SimulatedFacts facts_;
  Status status_;
};

}  // namespace

std::string_view name(SimulatedUnit unit) {
  switch (unit) {
    case SimulatedUnit::kMatrix:
      return "HMX";
    case SimulatedUnit::kVector:
      return "HVX";
    case SimulatedUnit::kTransfer:
      return "DMA";
    case SimulatedUnit::kControl:
      return "FG";
  }
  QHX_CHECK(false);
}

Result<SimulatedFacts> read_simulated_trace(std::istream& text, const SeeEvent& see) {
  Handler handler(see);
  json::sax_parse(text, &handler);
  return handler.finish();
}

Result<SimulatedFacts> read_simulated_trace(const std::filesystem::path& file,
                                            const SeeEvent& see) {
  std::ifstream text(file, std::ios::binary);
  if (!text) {
    return not_found(
        file.string() +
        ": the library has finalized the graph and written no simulation; the options "
        "for it are internal ones, known to work in build v2.51.0 (qhx forge --get-qnn "
        "installs a library)");
  }
  auto facts = read_simulated_trace(text, see);
  if (!facts.ok()) return facts.status().with_context(file.string());
  return facts;
}

}  // namespace qhx::qnn
