#include "vision/image.h"

#include <string>
#include <string_view>

#include "base/file.h"
#include "vision/decode/decoders.h"

namespace qhx::vision {

Status check_size(std::uint64_t width, std::uint64_t height, const ImageLimits& limits) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width == 0 || height == 0) return corrupt("picture of " + size + " pixels");
  // Sides of up to 2^32 - 1 cannot overflow the product.
  if (width * height > limits.max_pixels || width > INT32_MAX || height > INT32_MAX) {
    return out_of_range("picture of " + size + " = " + std::to_string(width * height) +
                        " pixels: the limit is " + std::to_string(limits.max_pixels) + " pixels");
  }
  return {};
}

void flatten_over_white(std::vector<std::uint8_t>& pixels) {
  const std::size_t count = pixels.size() / 4;
  std::uint8_t* out = pixels.data();
  const std::uint8_t* in = pixels.data();
  for (std::size_t i = 0; i < count; ++i, in += 4, out += 3) {
    const unsigned alpha = in[3];
    for (int c = 0; c < 3; ++c) out[c] = over_white(in[c], alpha);
  }
  pixels.resize(count * 3);
}

Result<Image> decode_image(Bytes file, const ImageLimits& limits) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.starts_with("\xFF\xD8\xFF"sv)) return decode_jpeg(file, limits).with_context("JPEG");
  if (text.starts_with("\x89PNG\r\n\x1A\n"sv)) return decode_png(file, limits).with_context("PNG");
  if (text.starts_with("RIFF"sv) && text.substr(0, 12).ends_with("WEBP"sv)) {
    return decode_webp(file, limits).with_context("WebP");
  }
  if (text.starts_with("GIF87a"sv) || text.starts_with("GIF89a"sv))
    return decode_gif(file, limits).with_context("GIF");
  if (text.starts_with("BM"sv)) return decode_bmp(file, limits).with_context("BMP");
  return corrupt(std::to_string(file.size()) +
                 " bytes: not a picture we can read (JPEG, PNG, WebP, GIF, BMP)");
}

Result<Image> read_image(const std::filesystem::path& path) {
  QHX_ASSIGN_OR_RETURN(const std::string file, read_file(path));
  return decode_image(std::as_bytes(std::span(file))).with_context(path.string());
}

}  // namespace qhx::vision
