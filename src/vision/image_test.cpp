#include "vision/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/npy.h"
#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kPictures = fs::path(QHX_VISION_TESTDATA) / "pictures";

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string read_picture(const std::string& name) {
  auto text = read_file(kPictures / name);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : std::string();
}

std::vector<std::string> picture_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kPictures)) {
    if (entry.path().extension() != ".npy") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Pictures : public ::testing::TestWithParam<std::string> {};

TEST_P(Pictures, LookAsInPillow) {
  const std::string file = read_picture(GetParam());
  const auto image = decode_image(bytes(file));
  ASSERT_TRUE(image.ok()) << image.status();
  const auto expected = read_npy(kPictures / (GetParam() + ".npy"));
  ASSERT_TRUE(expected.ok()) << expected.status();
  ASSERT_EQ(static_cast<std::size_t>(image->height), expected->shape[0]);
  ASSERT_EQ(static_cast<std::size_t>(image->width), expected->shape[1]);
  ASSERT_EQ(image->rgb.size(), expected->bytes.size());
  // Decoders of JPEG may differ by a level in the transform and once more in the colours; the rest
  // is exact.
  const int tolerance = GetParam().ends_with(".jpg") ? 2 : 0;
  for (std::size_t i = 0; i < image->rgb.size(); ++i) {
    ASSERT_LE(std::abs(image->rgb[i] - std::to_integer<int>(expected->bytes[i])), tolerance)
        << "byte " << i;
  }
}

TEST_P(Pictures, CutAnywhereAreRefusedOrWhole) {
  const std::string file = read_picture(GetParam());
  const auto whole = decode_image(bytes(file));
  ASSERT_TRUE(whole.ok());
  int refused = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees reads beyond it.
    const std::vector<std::byte> part(bytes(file).begin(),
                                      bytes(file).begin() + static_cast<std::ptrdiff_t>(size));
    const auto image = decode_image(part);
    if (image.ok()) {
      EXPECT_EQ(image->rgb, whole->rgb) << "cut after " << size;
    } else {
      ++refused;
    }
  }
  // What comes after the pixels may be lost: a trailer, padding, the frames after the first.
  EXPECT_GT(refused, static_cast<int>(file.size() / 4));
}

TEST_P(Pictures, ObeyTheLimit) {
  const std::string file = read_picture(GetParam());
  const std::size_t pixels = decode_image(bytes(file))->pixels();
  EXPECT_TRUE(decode_image(bytes(file), {pixels}).ok());
  const auto refused = decode_image(bytes(file), {pixels - 1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kOutOfRange) << refused.status();
  EXPECT_THAT(refused.status().message(), HasSubstr(std::to_string(pixels)));
  EXPECT_THAT(refused.status().message(), HasSubstr(std::to_string(pixels - 1)));
}

TEST_P(Pictures, SurviveDamage) {
  const std::string file = read_picture(GetParam());
  std::uint32_t random = 1;
  for (int round = 0; round < 200; ++round) {
    std::string damaged = file;
    for (int i = 0; i < 3; ++i) {
      random = random * 1664525 + 1013904223;
      damaged[(random >> 8) % damaged.size()] = static_cast<char>(random >> 24);
    }
    const auto image = decode_image(bytes(damaged), {1 << 20});
    if (image.ok()) {
      EXPECT_EQ(image->rgb.size(), image->pixels() * 3);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Pictures, ::testing::ValuesIn(picture_names()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(DecodeImage, RefusesWhatIsNoPicture) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("hello, world"), std::string(100, '\0'),
        std::string("RIFF....WAVE"), std::string("\xFF\xD8")}) {
    const auto image = decode_image(bytes(text));
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.status().code(), StatusCode::kCorrupt);
    EXPECT_THAT(image.status().message(),
                HasSubstr("not a picture we can read (JPEG, PNG, WebP, GIF, BMP)"));
  }
}

// Headers that promise 65535 x 65535 pixels.
TEST(DecodeImage, RefusesBombsFromTheHeader) {
  std::string png = read_picture("rgb.png");
  png.replace(16, 8, std::string("\0\0\xFF\xFF\0\0\xFF\xFF", 8));
  png.replace(29, 4, "\x39\x67\x4E\x07");  // the checksum of that header
  std::string gif = read_picture("plain.gif");
  gif.replace(6, 4, "\xFF\xFF\xFF\xFF");
  std::string bmp = read_picture("rle8.bmp");
  bmp.replace(18, 8, std::string("\xFF\xFF\0\0\xFF\xFF\0\0", 8));
  std::string jpeg = read_picture("gray.jpg");
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\xFF\xFF\xFF\xFF");
  for (const std::string& file : {png, gif, bmp, jpeg}) {
    const auto image = decode_image(bytes(file));
    ASSERT_FALSE(image.ok());
    EXPECT_THAT(image.status().message(), HasSubstr("picture of 655"));
    EXPECT_THAT(image.status().message(), HasSubstr("the limit is 178956970 pixels"));
    EXPECT_EQ(image.status().code(), StatusCode::kOutOfRange);
  }
}

TEST(Exif, ReadsOrientationOrSaysUpright) {
  using namespace std::string_literals;
  const std::string tag =
      "\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"s;
  const std::string block = "II*\0\x08\0\0\0"s + tag;
  EXPECT_EQ(exif_orientation(bytes(block)), 6);
  EXPECT_EQ(exif_orientation(bytes("Exif\0\0"s + block)), 6);
  for (std::size_t size = 0; size < block.size() - 8; ++size) {
    EXPECT_EQ(exif_orientation(bytes(block).first(size)), 1) << size;
  }
  for (const std::string& bad : {"II*\0\xFF\xFF\xFF\xFF"s + tag, "XX*\0\x08\0\0\0"s + tag,
                                 "II+\0\x08\0\0\0"s + tag, "II*\0\x08\0\0\0\xFF\xFF"s}) {
    EXPECT_EQ(exif_orientation(bytes(bad)), 1);
  }
  std::string nine = block;
  nine[18] = 9;
  EXPECT_EQ(exif_orientation(bytes(nine)), 1);
}

TEST(OverWhite, IsTheRoundedMix) {
  for (unsigned level = 0; level < 256; ++level) {
    EXPECT_EQ(over_white(level, 255), level);
    EXPECT_EQ(over_white(level, 0), 255);
  }
  EXPECT_EQ(over_white(0, 128), 127);
  EXPECT_EQ(over_white(0, 127), 128);
}

// An empty run-length line goes one line up and leaves the row at index 0.
TEST(Bmp, SkippedLinesKeepIndexZero) {
  std::string file = read_picture("rle8.bmp");
  const std::size_t at =
      static_cast<unsigned char>(file[10]) + 256 * static_cast<unsigned char>(file[11]);
  file = file.substr(0, at) + std::string("\0\0\x17\x01\0\1", 6);
  const auto image = decode_image(bytes(file));
  ASSERT_TRUE(image.ok()) << image.status();
  const auto pixel = [&](int y) {
    return image->rgb[static_cast<std::size_t>(y * image->width) * 3];
  };
  const auto blue_green_red = [&](std::size_t index) {
    return static_cast<unsigned char>(file[54 + 4 * index + 2]);
  };
  EXPECT_EQ(pixel(image->height - 1), blue_green_red(0));
  EXPECT_EQ(pixel(image->height - 2), blue_green_red(1));
  EXPECT_EQ(pixel(0), blue_green_red(0));
}

}  // namespace
}  // namespace qhx::vision
