// Picture files to RGB: JPEG (any EXIF orientation, gray, CMYK and YCCK too), PNG, WebP, GIF (first
// frame) and BMP.
//
// The result is what Pillow gives for the same bytes after its EXIF transposition and conversion to
// RGB, up to the noise of JPEG decoders, with one difference: transparency is composited over white
// instead of being dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/status.h"

namespace qhx::vision {

// 8-bit RGB, interleaved, row-major: height * width * 3 bytes.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  std::size_t pixels() const {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  }
};

struct ImageLimits {
  // 2 * 2^30 / 4 / 3: where Pillow, too, refuses a picture as a decompression bomb. Half a gigabyte
  // of RGB.
  std::size_t max_pixels = 178'956'970;
};

// Decodes a whole file's bytes. Sizes are checked from the header before anything is allocated for
// them. kOutOfRange for too many pixels, kCorrupt for damaged or cut-off files and for what is no
// picture, kUnsupported for variants we do not read. Thread-safe; libraries beneath never print.
Result<Image> decode_image(std::span<const std::byte> file, const ImageLimits& limits = {});
// The same for a file on disk; messages begin with its path.
Result<Image> read_image(const std::filesystem::path& path);

}  // namespace qhx::vision
