#include "vision/resize.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/hash.h"

namespace qhx::vision {
namespace {

const std::string kData = QHX_VISION_TESTDATA;

// The same pictures as in testdata/make_numbers.py: noise, or only black and white.
Image hash_picture(int width, int height, int kind, std::uint64_t seed) {
  Image image{width, height, {}};
  image.rgb.resize(image.pixels() * 3);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) {
    auto s = static_cast<std::uint32_t>(i * 2654435761u + seed * 40503u);
    s ^= s >> 15;
    s *= 2246822519u;
    s ^= s >> 13;
    const auto level = static_cast<std::uint8_t>(s >> 16);
    image.rgb[i] = kind == 0 ? level : level >= 128 ? 255 : 0;
  }
  return image;
}

TEST(ResizeBicubic, EqualsTorchvisionToTheBit) {
  std::ifstream goldens(kData + "/resize_goldens.txt");
  int w, h, w2, h2, kind, seed, lines = 0;
  std::string hash;
  while (goldens >> w >> h >> w2 >> h2 >> kind >> seed >> hash) {
    ++lines;
    const Image image =
        resize_bicubic(hash_picture(w, h, kind, static_cast<std::uint64_t>(seed)), {w2, h2});
    EXPECT_EQ(image.width, w2);
    EXPECT_EQ(image.height, h2);
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(image.rgb))), hash)
        << w << "x" << h << " to " << w2 << "x" << h2;
  }
  EXPECT_EQ(lines, 44);
}

TEST(ResizeBicubic, OnePixelSpreads) {
  const Image image = resize_bicubic({1, 1, {10, 20, 30}}, {5, 3});
  for (std::size_t i = 0; i < image.rgb.size(); ++i) EXPECT_EQ(image.rgb[i], 10 * (i % 3 + 1));
  EXPECT_EQ(resize_bicubic(image, {1, 1}).rgb, (std::vector<std::uint8_t>{10, 20, 30}));
}

TEST(FitImage, StretchLeavesTheRightSizeAlone) {
  const Image image = hash_picture(40, 24, 0, 1);
  EXPECT_EQ(fit_image(image, {40, 24}, FitMode::kStretch).rgb, image.rgb);
  EXPECT_EQ(fit_image(image, {40, 24}, FitMode::kLetterbox).rgb, image.rgb);
  EXPECT_EQ(fit_image(image, {16, 16}, FitMode::kStretch).rgb, resize_bicubic(image, {16, 16}).rgb);
}

TEST(FitImage, LetterboxKeepsTheShapeAndFillsTheRest) {
  const Image image = hash_picture(40, 20, 0, 1);
  const std::array<std::uint8_t, 3> grey{1, 2, 3};
  const Image wide =
      fit_image(image, {32, 33}, FitMode::kLetterbox, grey);  // inner 32 x 16, 8 above, 9 below
  const Image inner = resize_bicubic(image, {32, 16});
  ASSERT_EQ(wide.rgb.size(), 32u * 33 * 3);
  for (std::size_t y = 0; y < 33; ++y) {
    for (std::size_t i = 0; i < 32 * 3; ++i) {
      const bool inside = y >= 8 && y < 24;
      EXPECT_EQ(wide.rgb[y * 96 + i], inside ? inner.rgb[(y - 8) * 96 + i] : grey[i % 3]);
    }
  }
  const Image tall =
      fit_image(image, {100, 8}, FitMode::kLetterbox, grey);  // inner 16 x 8, 42 left and right
  EXPECT_EQ(tall.rgb[41 * 3 + 1], 2);
  EXPECT_EQ(tall.rgb[42 * 3 + 1], resize_bicubic(image, {16, 8}).rgb[1]);
  EXPECT_EQ(tall.rgb[58 * 3], 1);
  EXPECT_EQ(fit_image(hash_picture(1000, 1, 0, 1), {32, 32}, FitMode::kLetterbox).pixels(), 1024u);
}

TEST(SmartResize, EqualsHuggingFace) {
  std::ifstream goldens(kData + "/smart_resize_goldens.txt");
  int w, h, factor, w2, h2, lines = 0;
  std::size_t low, high;
  while (goldens >> w >> h >> factor >> low >> high >> w2 >> h2) {
    ++lines;
    const auto size = smart_resize({w, h}, factor, low, high);
    if (w2 == 0) {
      ASSERT_FALSE(size.ok()) << w << " " << h;
      EXPECT_EQ(size.status().code(), StatusCode::kOutOfRange);
    } else {
      ASSERT_TRUE(size.ok()) << size.status();
      EXPECT_EQ(*size, (Size{w2, h2})) << w << " " << h << " " << factor;
    }
  }
  EXPECT_EQ(lines, 150);
}

}  // namespace
}  // namespace qhx::vision
