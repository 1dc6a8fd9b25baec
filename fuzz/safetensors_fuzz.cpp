// Headers of safetensors files and the configuration files beside them: every tensor that is
// accepted must lie inside the file and have the bytes of its shape.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "forge/hf/config.h"
#include "forge/hf/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto header = qhx::hf::parse_safetensors(std::as_bytes(std::span(data, size)));
  if (header.ok()) {
    for (const auto& [name, entry] : header->tensors) {
      std::size_t bytes = qhx::size_bytes(entry.dtype);
      for (const std::size_t extent : entry.shape) bytes *= extent;
      if (entry.end - entry.begin != bytes || entry.end > size - header->data_offset) std::abort();
    }
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = qhx::hf::parse_config(text, "", "");
  if (config.ok()) (void)qhx::hf::expected_tensors(*config);
  return 0;
}
