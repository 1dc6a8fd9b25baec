#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

using Colour = std::array<std::uint8_t, 3>;
constexpr Colour kWhite{255, 255, 255};

int read_bytes(GifFileType* gif, GifByteType* out, int count) {
  Bytes& rest = *static_cast<Bytes*>(gif->UserData);
  const std::size_t taken = std::min(rest.size(), static_cast<std::size_t>(std::max(count, 0)));
  if (taken != 0) std::memcpy(out, rest.data(), taken);
  rest = rest.subspan(taken);
  return static_cast<int>(taken);
}

class GifReader {
 public:
  explicit GifReader(Bytes file) : rest_(file) {
    gif_ = DGifOpen(&rest_, read_bytes, &open_error_);
  }
  ~GifReader() {
    int ignored = 0;
    if (gif_ != nullptr) DGifCloseFile(gif_, &ignored);
  }
  GifReader(const GifReader&) = delete;
  GifReader& operator=(const GifReader&) = delete;

  bool open() const { return gif_ != nullptr; }
  GifFileType& file() { return *gif_; }
  int transparent() const { return transparent_; }

  Status error() const {
    const char* text = GifErrorString(gif_ == nullptr ? open_error_ : gif_->Error);
    return corrupt(text == nullptr ? "damaged" : text);
  }

  // Reads up to and with the descriptor of the first picture, noting its transparent index on the
  // way.
  Status find_picture() {
    for (;;) {
      GifRecordType type = UNDEFINED_RECORD_TYPE;
      if (DGifGetRecordType(gif_, &type) == GIF_ERROR) return error();
      if (type == TERMINATE_RECORD_TYPE) return corrupt("no picture in it");
      if (type == IMAGE_DESC_RECORD_TYPE) {
        return DGifGetImageDesc(gif_) == GIF_ERROR ? error() : Status();
      }
      if (type == EXTENSION_RECORD_TYPE) QHX_RETURN_IF_ERROR(read_extension());
    }
  }

 private:
  Status read_extension() {
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif_, &code, &block) == GIF_ERROR) return error();
    while (block != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
        transparent_ = control.TransparentColor;
      }
      if (DGifGetExtensionNext(gif_, &block) == GIF_ERROR) return error();
    }
    return {};
  }

  Bytes rest_;
  int open_error_ = 0;
  GifFileType* gif_ = nullptr;
  int transparent_ = NO_TRANSPARENT_COLOR;
};

// What each index looks like over white. Without any palette indices are gray levels.
std::array<Colour, 256> colours(const ColorMapObject* map, int transparent) {
  std::array<Colour, 256> table{};
  for (int i = 0; i < 256; ++i) {
    auto& colour = table[static_cast<std::size_t>(i)];
    const auto gray = static_cast<std::uint8_t>(i);
    if (map == nullptr) colour = {gray, gray, gray};
    if (map != nullptr && i < map->ColorCount) {
      colour = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
    }
  }
  if (transparent >= 0 && transparent < 256) table[static_cast<std::size_t>(transparent)] = kWhite;
  return table;
}

// Rows of a picture in the order the file has them.
std::vector<int> row_order(int height, bool interlaced) {
  constexpr int kStart[] = {0, 4, 2, 1};
  constexpr int kStep[] = {8, 8, 4, 2};
  std::vector<int> rows;
  for (int pass = 0; pass < (interlaced ? 4 : 1); ++pass) {
    for (int y = interlaced ? kStart[pass] : 0; y < height; y += interlaced ? kStep[pass] : 1)
      rows.push_back(y);
  }
  return rows;
}

}  // namespace

Result<Image> decode_gif(Bytes file, const ImageLimits& limits) {
  GifReader reader(file);
  if (!reader.open()) return reader.error();
  GifFileType& gif = reader.file();
  QHX_RETURN_IF_ERROR(reader.find_picture());
  const GifImageDesc& frame = gif.Image;
  if (frame.Width <= 0 || frame.Height <= 0 || frame.Left < 0 || frame.Top < 0)
    return corrupt("empty first picture");
  // Some writers leave the screen smaller than its picture.
  const int width = std::max(gif.SWidth, frame.Left + frame.Width);
  const int height = std::max(gif.SHeight, frame.Top + frame.Height);
  QHX_RETURN_IF_ERROR(
      check_size(static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), limits));
  const auto table =
      colours(frame.ColorMap != nullptr ? frame.ColorMap : gif.SColorMap, reader.transparent());

  Image image{width, height, {}};
  image.rgb.resize(image.pixels() * 3);
  // Outside the picture: transparent if it has a transparent colour, else index 0.
  const Colour outside = reader.transparent() == NO_TRANSPARENT_COLOR ? table[0] : kWhite;
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = outside[i % 3];
  std::vector<GifPixelType> line(static_cast<std::size_t>(frame.Width));
  for (const int y : row_order(frame.Height, frame.Interlace)) {
    if (DGifGetLine(&gif, line.data(), frame.Width) == GIF_ERROR) return reader.error();
    const std::size_t place =
        static_cast<std::size_t>(frame.Top + y) * static_cast<std::size_t>(width) +
        static_cast<std::size_t>(frame.Left);
    std::uint8_t* out = image.rgb.data() + place * 3;
    for (const GifPixelType index : line) {
      std::memcpy(out, table[index].data(), 3);
      out += 3;
    }
  }
  return image;
}

}  // namespace qhx::vision
