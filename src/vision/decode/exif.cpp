#include <cstring>
#include <utility>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

constexpr std::uint16_t kOrientationTag = 0x0112;
constexpr std::uint16_t kShort = 3;

// A TIFF structure in memory; reads outside it give 0.
class Tiff {
 public:
  explicit Tiff(Bytes bytes) : bytes_(bytes), big_endian_(byte(0) == 'M') {}

  bool valid() const {
    const bool intel = byte(0) == 'I' && byte(1) == 'I';
    const bool motorola = byte(0) == 'M' && byte(1) == 'M';
    return (intel || motorola) && u16(2) == 42;
  }
  unsigned u16(std::size_t at) const {
    return big_endian_ ? byte(at) << 8 | byte(at + 1) : byte(at + 1) << 8 | byte(at);
  }
  std::size_t u32(std::size_t at) const {
    const std::size_t low = u16(big_endian_ ? at + 2 : at);
    const std::size_t high = u16(big_endian_ ? at : at + 2);
    return high << 16 | low;
  }

 private:
  unsigned byte(std::size_t at) const {
    return at < bytes_.size() ? std::to_integer<unsigned>(bytes_[at]) : 0;
  }

  Bytes bytes_;
  bool big_endian_;
};

}  // namespace

int exif_orientation(Bytes exif) {
  constexpr char kPrefix[] = {'E', 'x', 'i', 'f', 0, 0};
  if (exif.size() >= sizeof kPrefix && std::memcmp(exif.data(), kPrefix, sizeof kPrefix) == 0) {
    exif = exif.subspan(sizeof kPrefix);
  }
  const Tiff tiff(exif);
  if (!tiff.valid()) return 1;
  const std::size_t directory = tiff.u32(4);
  const unsigned entries = tiff.u16(directory);
  for (unsigned i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (tiff.u16(entry) != kOrientationTag || tiff.u16(entry + 2) != kShort) continue;
    const auto orientation = static_cast<int>(tiff.u16(entry + 8));
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // 5 to 8 exchange the axes; then the source column or row may run backwards.
  const bool swapped = orientation >= 5;
  const bool mirror_x =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image turned;
  turned.width = swapped ? image.height : image.width;
  turned.height = swapped ? image.width : image.height;
  turned.rgb.resize(image.rgb.size());
  std::uint8_t* out = turned.rgb.data();
  for (int y = 0; y < turned.height; ++y) {
    for (int x = 0; x < turned.width; ++x, out += 3) {
      int source_x = swapped ? y : x;
      int source_y = swapped ? x : y;
      if (mirror_x) source_x = image.width - 1 - source_x;
      if (mirror_y) source_y = image.height - 1 - source_y;
      const auto pixel =
          static_cast<std::size_t>(source_y) * static_cast<std::size_t>(image.width) +
          static_cast<std::size_t>(source_x);
      std::memcpy(out, image.rgb.data() + pixel * 3, 3);
    }
  }
  return turned;
}

}  // namespace qhx::vision
