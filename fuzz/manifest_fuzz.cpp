// Any bytes as a manifest: an error or a manifest that prints to a fixed point.
#include <cstdint>

#include "base/check.h"
#include "manifest/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto first = qhx::manifest::parse_manifest(text, "fuzz.json");
  if (!first.ok()) return 0;
  const std::string printed = qhx::manifest::print_manifest(*first).dump();
  const auto second = qhx::manifest::parse_manifest(printed, "printed.json");
  QHX_CHECK(second.ok());
  QHX_CHECK(qhx::manifest::print_manifest(*second).dump() == printed);
  return 0;
}
