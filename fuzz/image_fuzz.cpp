// Picture files: whatever decodes must have the size it claims, and never more pixels than allowed.
#include <cstdint>
#include <cstdlib>

#include "vision/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const qhx::vision::ImageLimits limits{1 << 20};
  const auto image = qhx::vision::decode_image(std::as_bytes(std::span(data, size)), limits);
  if (image.ok() &&
      (image->pixels() > limits.max_pixels || image->rgb.size() != image->pixels() * 3))
    std::abort();
  return 0;
}
