// From a picture of any size to the size the model sees.
//
// The resampler is the one the checkpoint's own processor runs (torchvision on 8-bit pictures),
// reproduced to the bit: Keys' cubic with a = -0.5, widened when shrinking (antialias), 16-bit
// fixed-point weights, the horizontal pass first and rounded to 8 bits, then the vertical one. An
// axis that keeps its size is left alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "vision/image.h"

namespace qhx::vision {

struct Size {
  int width = 0;
  int height = 0;
  bool operator==(const Size&) const = default;
};

enum class FitMode {
  kStretch,    // resize straight to the target
  kLetterbox,  // keep the shape, fit inside, centre, fill the rest with a colour
};

// Bicubic, antialiased. Sizes must be positive (QHX_CHECK).
Image resize_bicubic(const Image& image, Size target);

// Either mode gives exactly `target`. The picture is unchanged if it has that size already. In
// letterbox mode the inner size is rounded half up, at least 1, and an odd rest puts the extra row
// or column at the bottom or right.
Image fit_image(const Image& image, Size target, FitMode mode,
                std::array<std::uint8_t, 3> padding = {0, 0, 0});

// The size Hugging Face's processor resizes to: multiples of `factor` (patch * merge) that keep the
// shape about, with an area between min_pixels and max_pixels. kOutOfRange if one side is over 200
// times the other.
Result<Size> smart_resize(Size size, int factor, std::size_t min_pixels, std::size_t max_pixels);

}  // namespace qhx::vision
