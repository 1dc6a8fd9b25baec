// Windows and OS/2 bitmaps. Layout: a 14-byte file header, an information header whose first field
// is its own size, channel masks or a palette, and rows padded to four bytes, bottom row first
// unless the height is negative.
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

enum Compression : std::uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

using Colour = std::array<std::uint8_t, 3>;

// Little-endian reads; outside the file they give 0, and callers check sizes where it matters.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}
  std::size_t size() const { return bytes_.size(); }
  std::uint32_t u8(std::size_t at) const {
    return at < bytes_.size() ? std::to_integer<std::uint32_t>(bytes_[at]) : 0;
  }
  std::uint32_t u16(std::size_t at) const { return u8(at) | u8(at + 1) << 8; }
  std::uint32_t u32(std::size_t at) const { return u16(at) | u16(at + 2) << 16; }

 private:
  Bytes bytes_;
};

// One channel of a pixel value: bits under a mask, scaled to 0..255 (rounded down).
struct Channel {
  std::uint32_t mask = 0;
  std::uint8_t level(std::uint32_t pixel) const {
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    const std::uint64_t largest = mask >> shift;
    return static_cast<std::uint8_t>(((pixel & mask) >> shift) * std::uint64_t{255} / largest);
  }
};

struct Header {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  bool top_down = false;
  std::uint32_t bits = 0;
  std::uint32_t compression = kRaw;
  std::size_t pixels_at = 0;
  std::array<Channel, 4> channels;  // red, green, blue, alpha; for 16 and 32 bits
  std::array<Colour, 256> palette{};
};

constexpr std::size_t kFileHeader = 14;
constexpr std::uint32_t kCoreHeader = 12;
constexpr std::uint32_t kInfoHeader = 40;

Status read_palette(const Reader& file, std::size_t at, std::size_t entry_bytes, std::uint32_t used,
                    Header& header) {
  const std::uint32_t possible = 1u << header.bits;
  const std::uint32_t count = used == 0 || used > possible ? possible : used;
  if (at + std::size_t{count} * entry_bytes > file.size())
    return corrupt("the file ends inside its palette");
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t entry = at + i * entry_bytes;
    header.palette[i] = {static_cast<std::uint8_t>(file.u8(entry + 2)),
                         static_cast<std::uint8_t>(file.u8(entry + 1)),
                         static_cast<std::uint8_t>(file.u8(entry))};
  }
  return {};
}

void read_masks(const Reader& file, std::uint32_t header_bytes, Header& header) {
  auto& [red, green, blue, alpha] = header.channels;
  if (header.compression == kBitFields) {
    // Right after the classic header, or the same place inside a longer one.
    constexpr std::size_t kMasks = kFileHeader + kInfoHeader;
    red.mask = file.u32(kMasks);
    green.mask = file.u32(kMasks + 4);
    blue.mask = file.u32(kMasks + 8);
    if (header_bytes >= kInfoHeader + 16) alpha.mask = file.u32(kMasks + 12);
  } else if (header.bits == 16) {
    red.mask = 0x7C00, green.mask = 0x03E0, blue.mask = 0x001F;
  } else {
    red.mask = 0xFF0000, green.mask = 0x00FF00, blue.mask = 0x0000FF;
  }
}

Status check_variant(const Header& header) {
  const std::uint32_t bits = header.bits;
  const bool plain = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  const bool known = (header.compression == kRaw && plain) ||
                     (header.compression == kRle8 && bits == 8) ||
                     (header.compression == kRle4 && bits == 4) ||
                     (header.compression == kBitFields && (bits == 16 || bits == 32));
  if (known) return {};
  return unsupported("compression " + std::to_string(header.compression) + " with " +
                     std::to_string(bits) + " bits a pixel");
}

Result<Header> read_header(const Reader& file, const ImageLimits& limits) {
  const std::uint32_t bytes = file.u32(kFileHeader);
  const bool core = bytes == kCoreHeader;
  if ((!core && bytes < kInfoHeader) || bytes > 1024 || kFileHeader + bytes > file.size()) {
    return corrupt("information header of " + std::to_string(bytes) + " bytes in a file of " +
                   std::to_string(file.size()));
  }
  Header header;
  std::uint32_t colours = 0;
  if (core) {
    header.width = file.u16(18);
    header.height = file.u16(20);
    header.bits = file.u16(24);
  } else {
    const std::uint32_t height = file.u32(22);
    header.width = file.u32(18);
    header.top_down = height > 0x7FFFFFFF;
    header.height = header.top_down ? 0u - height : height;
    header.bits = file.u16(28);
    header.compression = file.u32(30);
    colours = file.u32(46);
  }
  header.pixels_at = file.u32(10);
  QHX_RETURN_IF_ERROR(check_size(header.width, header.height, limits));
  QHX_RETURN_IF_ERROR(check_variant(header));
  if (header.bits <= 8) {
    QHX_RETURN_IF_ERROR(read_palette(file, kFileHeader + bytes, core ? 3 : 4, colours, header));
  } else {
    read_masks(file, bytes, header);
  }
  return header;
}

// Palette indices of a run-length coded picture, in file order; what the codes skip stays 0.
Result<std::vector<std::uint8_t>> read_runs(const Reader& file, const Header& header) {
  const std::size_t width = header.width, height = header.height;
  std::vector<std::uint8_t> indices(width * height);
  const bool nibbles = header.compression == kRle4;
  std::size_t x = 0, y = 0, at = header.pixels_at;
  const auto put = [&](std::uint32_t index) {
    if (x < width && y < height) indices[y * width + x] = static_cast<std::uint8_t>(index);
    ++x;
  };
  // Number i of a group that alternates between the halves of bytes, or takes whole bytes.
  const auto pick = [&](std::uint32_t byte, std::uint32_t i) {
    if (!nibbles) return byte;
    return i % 2 == 0 ? byte >> 4 : byte & 15;
  };
  while (y < height) {
    if (at + 2 > file.size()) return corrupt("the file ends before its picture does");
    const std::uint32_t count = file.u8(at), value = file.u8(at + 1);
    at += 2;
    if (count != 0) {
      for (std::uint32_t i = 0; i < count; ++i) put(pick(value, i));
    } else if (value == 0) {  // end of line
      x = 0;
      ++y;
    } else if (value == 1) {  // end of picture
      break;
    } else if (value == 2) {  // skip right and on
      if (at + 2 > file.size()) return corrupt("the file ends before its picture does");
      x += file.u8(at);
      y += file.u8(at + 1);
      at += 2;
    } else {  // `value` literal indices, padded to two bytes
      const std::size_t bytes = nibbles ? (value + 1) / 2 : value;
      if (at + bytes > file.size()) return corrupt("the file ends before its picture does");
      for (std::uint32_t i = 0; i < value; ++i) put(pick(file.u8(at + (nibbles ? i / 2 : i)), i));
      at += (bytes + 1) / 2 * 2;
    }
  }
  return indices;
}

Colour read_pixel(const Reader& file, const Header& header, std::size_t row, std::size_t x) {
  switch (header.bits) {
    case 24: {
      const std::size_t at = row + x * 3;
      return {static_cast<std::uint8_t>(file.u8(at + 2)),
              static_cast<std::uint8_t>(file.u8(at + 1)), static_cast<std::uint8_t>(file.u8(at))};
    }
    case 16:
    case 32: {
      const std::uint32_t pixel = header.bits == 16 ? file.u16(row + x * 2) : file.u32(row + x * 4);
      const auto& [red, green, blue, alpha] = header.channels;
      const unsigned opacity = alpha.mask == 0 ? 255 : alpha.level(pixel);
      return {over_white(red.level(pixel), opacity), over_white(green.level(pixel), opacity),
              over_white(blue.level(pixel), opacity)};
    }
    default: {  // 1, 4 or 8 bits, the leftmost pixel in the highest bits
      const std::size_t per_byte = 8 / header.bits;
      const std::uint32_t byte = file.u8(row + x / per_byte);
      const std::size_t shift = (per_byte - 1 - x % per_byte) * header.bits;
      return header.palette[(byte >> shift) & ((1u << header.bits) - 1)];
    }
  }
}

}  // namespace

Result<Image> decode_bmp(Bytes bytes, const ImageLimits& limits) {
  const Reader file(bytes);
  QHX_ASSIGN_OR_RETURN(const Header header, read_header(file, limits));
  const bool runs = header.compression == kRle8 || header.compression == kRle4;
  const std::size_t row_bytes = (std::size_t{header.width} * header.bits + 31) / 32 * 4;
  const std::size_t needed = runs ? 2 : row_bytes * header.height;
  if (header.pixels_at > file.size() || needed > file.size() - header.pixels_at) {
    return corrupt("expected " + std::to_string(needed) + " bytes of pixels at " +
                   std::to_string(header.pixels_at) + ", the file has " +
                   std::to_string(file.size()));
  }
  std::vector<std::uint8_t> indices;
  if (runs) {
    QHX_ASSIGN_OR_RETURN(indices, read_runs(file, header));
  }
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), {}};
  image.rgb.resize(image.pixels() * 3);
  std::uint8_t* out = image.rgb.data();
  for (std::size_t y = 0; y < header.height; ++y) {
    const std::size_t line = header.top_down ? y : header.height - 1 - y;
    for (std::size_t x = 0; x < header.width; ++x, out += 3) {
      const Colour colour = runs ? header.palette[indices[line * header.width + x]]
                                 : read_pixel(file, header, header.pixels_at + line * row_bytes, x);
      std::memcpy(out, colour.data(), 3);
    }
  }
  return image;
}

}  // namespace qhx::vision
