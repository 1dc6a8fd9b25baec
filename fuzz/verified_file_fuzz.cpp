// Any bytes as verified.json: an error, or something that prints to a fixed point and can be judged
// with.
#include <cstdint>

#include "base/check.h"
#include "verify/judge.h"
#include "verify/verified_file.h"

namespace {

using namespace qhx::verify;

// What a bundle would have computed that gives exactly what is recorded, where that is known whole.
Trace recorded(const Judge& judge) {
  Trace trace;
  for (const Expected& stage : judge.stages) {
    if (stage.values.size() == stage.count) trace.stages.push_back({stage.name, stage.values});
  }
  trace.steps = judge.steps;
  return trace;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = parse_verified(text, "fuzz.json");
  if (!first.ok()) return 0;
  const auto printed = print_verified(*first);
  QHX_CHECK(printed.ok());
  const auto second = parse_verified(*printed, "printed.json");
  QHX_CHECK(second.ok());
  QHX_CHECK(*print_verified(*second) == *printed);
  for (const Judge& judge : second->judges)
    static_cast<void>(judge_trace(judge, recorded(judge)).ok());
  return 0;
}
