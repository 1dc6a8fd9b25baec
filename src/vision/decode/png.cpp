#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <string>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

// More than any profile or text chunk needs.
constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{16} << 20;

class PngReader {
 public:
  explicit PngReader(Bytes file) : rest_(file) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // Errors of the library come back by longjmp: nothing in these two functions has a destructor.
  bool read_header() {
    if (info_ == nullptr) return false;
    if (setjmp(jump_) != 0) return false;
    png_set_read_fn(png_, this, on_read);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_read_info(png_, info_);
    return true;
  }
  // All rows as 8-bit RGB, or RGBA if has_alpha().
  bool read_pixels(std::uint8_t* out) {
    if (setjmp(jump_) != 0) return false;
    png_set_expand(png_);  // palettes, few-bit gray, and transparent colours to alpha
    png_set_gray_to_rgb(png_);
    png_set_strip_16(png_);
    const int passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    const std::size_t row_bytes = png_get_rowbytes(png_, info_);
    for (int pass = 0; pass < passes; ++pass) {
      for (png_uint_32 y = 0; y < height(); ++y) png_read_row(png_, out + y * row_bytes, nullptr);
    }
    png_read_end(png_, info_);
    return true;
  }

  png_uint_32 width() const { return png_get_image_width(png_, info_); }
  png_uint_32 height() const { return png_get_image_height(png_, info_); }
  bool has_alpha() const {
    return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
           png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
  }
  int orientation() {
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return 1;
    return exif_orientation({reinterpret_cast<const std::byte*>(exif), size});
  }
  Status error() const { return info_ == nullptr ? io_error("out of memory") : corrupt(message_); }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto& self = *static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self.message_, message, sizeof self.message_ - 1);
    std::longjmp(self.jump_, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self.rest_.size()) png_error(png, "the file ends before its picture does");
    std::memcpy(out, self.rest_.data(), count);
    self.rest_ = self.rest_.subspan(count);
  }

  Bytes rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_;
  char message_[128] = {};
};

}  // namespace

Result<Image> decode_png(Bytes file, const ImageLimits& limits) {
  PngReader png(file);
  if (!png.read_header()) return png.error();
  QHX_RETURN_IF_ERROR(check_size(png.width(), png.height(), limits));
  Image image{static_cast<int>(png.width()), static_cast<int>(png.height()), {}};
  const bool alpha = png.has_alpha();
  image.rgb.resize(image.pixels() * (alpha ? 4 : 3));
  if (!png.read_pixels(image.rgb.data())) return png.error();
  if (alpha) flatten_over_white(image.rgb);
  return apply_orientation(std::move(image), png.orientation());
}

}  // namespace qhx::vision
