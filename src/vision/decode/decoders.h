// One function for each picture format, and what they share. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "vision/image.h"

namespace qhx::vision {

using Bytes = std::span<const std::byte>;

// Each is given a file that begins with its format's signature. The EXIF orientation is already
// applied to the result.
Result<Image> decode_jpeg(Bytes file, const ImageLimits& limits);
Result<Image> decode_png(Bytes file, const ImageLimits& limits);
Result<Image> decode_webp(Bytes file, const ImageLimits& limits);
Result<Image> decode_gif(Bytes file, const ImageLimits& limits);
Result<Image> decode_bmp(Bytes file, const ImageLimits& limits);

// kOutOfRange with both numbers if there are too many pixels, kCorrupt if there is none.
Status check_size(std::uint64_t width, std::uint64_t height, const ImageLimits& limits);

// The orientation tag (1 to 8) of an EXIF block, with or without its "Exif\0\0" prefix; 1 if there
// is none or the block is damaged, as for any viewer.
int exif_orientation(Bytes exif);

// Turns a picture as stored into the picture as meant.
Image apply_orientation(Image image, int orientation);

// A colour level of the given opacity over white, rounded.
constexpr std::uint8_t over_white(unsigned level, unsigned alpha) {
  return static_cast<std::uint8_t>((level * alpha + 255 * (255 - alpha) + 127) / 255);
}

// Packs RGBA over white into RGB, in place: `pixels` holds 4 bytes a pixel before and 3 after.
void flatten_over_white(std::vector<std::uint8_t>& pixels);

}  // namespace qhx::vision
