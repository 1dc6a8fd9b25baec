#include "forge/ranges/drawing.h"

#include <array>
#include <cmath>
#include <random>

#include "base/check.h"

namespace qhx::forge {
namespace {

using Colour = std::array<float, 3>;  // 0 to 255

// Places are parts of the picture: x and y from 0 to 1.
struct Place {
  float x = 0, y = 0;
};

Colour gradient(Place p) { return {255 * p.x, 255 * p.y, 255 * (1 - p.x)}; }

bool in_circle(Place p, Place centre, float radius) {
  return std::hypot(p.x - centre.x, p.y - centre.y) < radius;
}
bool in_box(Place p, Place from, Place to) {
  return p.x >= from.x && p.x < to.x && p.y >= from.y && p.y < to.y;
}

class Painter {
 public:
  // The colour of pixel (x, y), at place p.
  Colour at(int x, int y, Place p) {
    if (in_box(p, {0.05f, 0.62f}, {0.95f, 0.95f})) return print(x, y);
    if (in_box(p, {0.70f, 0.05f}, {0.95f, 0.25f})) return checks(x, y);
    if (in_box(p, {0.70f, 0.30f}, {0.95f, 0.50f})) return noise();
    if (in_circle(p, {0.25f, 0.30f}, 0.18f)) return {230, 30, 30};
    if (in_box(p, {0.40f, 0.10f}, {0.62f, 0.45f})) return {20, 60, 200};
    // Rays, one pixel light and one dark at their thinnest.
    if (p.y < 0.08f && std::sin(2000 * p.x * p.x) > 0) return {255, 255, 255};
    return gradient(p);
  }

 private:
  // Dark letters of 5 x 7 pixels, made up, on white.
  Colour print(int x, int y) const {
    const int column = x % 6, row = y % 10;
    const auto letter = static_cast<std::uint32_t>((x / 6) * 31 + (y / 10) * 17);
    const std::uint32_t bits = letter * 2654435761u;
    const bool ink = column < 5 && row < 7 && (bits >> ((column * 7 + row) % 32) & 1u) != 0;
    return ink ? Colour{15, 15, 15} : Colour{255, 255, 255};
  }
  Colour checks(int x, int y) const {
    return (x / 2 + y / 2) % 2 == 0 ? Colour{0, 0, 0} : Colour{255, 255, 0};
  }
  Colour noise() {
    Colour colour;
    for (float& value : colour) value = static_cast<float>(random_() & 0xFF);
    return colour;
  }

  std::mt19937 random_{1};
};

}  // namespace

vision::Image draw_calibration_picture(int width, int height) {
  QHX_CHECK(width > 0 && height > 0);
  vision::Image image{width, height, {}};
  image.rgb.reserve(image.pixels() * 3);
  Painter painter;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Place place{static_cast<float>(x) / static_cast<float>(width),
                        static_cast<float>(y) / static_cast<float>(height)};
      for (const float value : painter.at(x, y, place))
        image.rgb.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return image;
}

}  // namespace qhx::forge
