// Any bytes as a simulator's trace: an error, or a report that prints to a fixed point.
#include <cstdint>
#include <sstream>

#include "base/check.h"
#include "profile/report.h"
#include "profile/summary.h"
#include "qnn/simulated_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qhx;
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  const forge::NumberedOperations operations = {{31, {"Conv2d_1", "Conv2d", "layer 0", "w"}}};
  profile::Summary summary(operations);
  auto facts = qnn::read_simulated_trace(
      text, [&](const qnn::SimulatedEvent& event) { summary.add(event); });
  if (!facts.ok()) return 0;
  profile::Report report;
  report.graphs.resize(1);
  summary.finish(*std::move(facts), report.graphs[0]);
  QHX_CHECK(!profile::print_html(report).empty());
  const std::string printed = profile::print_json(report).dump();
  const auto again = profile::parse_json(printed);
  QHX_CHECK(again.ok());
  QHX_CHECK(profile::print_json(*again).dump() == printed);
  return 0;
}
