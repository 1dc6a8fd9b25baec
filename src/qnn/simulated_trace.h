// The schedule that the HTP library's simulator writes while it finalizes a graph (HtpSimulation):
// what every part of the chip does when, in cycles of its cores.
//
// The file is a Chrome trace and may have hundreds of MB, so it is read as a stream. Its contents
// are bytes from outside: what is missing or impossible is an error.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <istream>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace qhx::qnn {

// The parts of the chip that work at the same time.
enum class SimulatedUnit {
  kMatrix,    // HMX
  kVector,    // HVX, several threads
  kTransfer,  // DMA
  kControl,   // FG: starting and awaiting the others
};
inline constexpr std::array kSimulatedUnits = {SimulatedUnit::kMatrix, SimulatedUnit::kVector,
                                               SimulatedUnit::kTransfer, SimulatedUnit::kControl};
std::string_view name(SimulatedUnit unit);  // "HMX" …

struct SimulatedEvent {
  // The library's operation without its decorations: "ConvLayer.fp16.s1.tcm", "Softmax"; "Spill"
  // and "Fill" move what does not fit into the fast memory.
  std::string_view kind;
  std::uint32_t operation = 0;  // OperationIds
  SimulatedUnit unit = SimulatedUnit::kControl;
  std::int64_t track = 0;  // SimulatedFacts::tracks
  double start = 0, cycles = 0;
  std::uint64_t read_bytes = 0, written_bytes = 0;  // of the chip's main memory
};

// What the file says besides.
struct SimulatedFacts {
  std::string soc;      // "SM8750"
  std::string library;  // build of the library that wrote it
  double core_mhz = 0, matrix_mhz = 0, memory_mhz = 0;
  std::uint32_t vector_threads = 0;
  std::uint64_t vtcm_bytes = 0, vtcm_peak_bytes = 0;
  double cycles = 0;                           // of the whole graph
  std::map<std::int64_t, std::string> tracks;  // "HVX 1"
  double microseconds(double of_cycles) const { return of_cycles / core_mhz; }
};

// Calls `see` for each event, in the order of the file; the event's text is valid during the call.
using SeeEvent = std::function<void(const SimulatedEvent& event)>;
Result<SimulatedFacts> read_simulated_trace(std::istream& text, const SeeEvent& see);
// kNotFound, with what to do, if the library has not written the file.
Result<SimulatedFacts> read_simulated_trace(const std::filesystem::path& file, const SeeEvent& see);

}  // namespace qhx::qnn
