#include <csetjmp>
#include <cstdio>
#include <string>

// After <cstdio>: jpeglib.h uses its FILE.
#include <jerror.h>
#include <jpeglib.h>

#include "vision/decode/decoders.h"

namespace qhx::vision {
namespace {

// A progressive file may ask for the whole picture to be gone through once more with every few
// bytes.
constexpr int kMaxScans = 500;

struct ErrorManager {
  jpeg_error_mgr base;  // first, so that the library's pointer to it is a pointer to this
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool cut_off;
};

ErrorManager& manager(j_common_ptr info) { return *reinterpret_cast<ErrorManager*>(info->err); }

[[noreturn]] void on_error(j_common_ptr info) {
  ErrorManager& errors = manager(info);
  errors.base.format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

// Negative levels are warnings: the library goes on with what it has. Viewers do, too, unless the
// file ends early.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) manager(info).cut_off = true;
}

void on_output(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number <= kMaxScans) return;
  std::snprintf(manager(info).message, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
  std::longjmp(manager(info).jump, 1);
}

class Decompressor {
 public:
  explicit Decompressor(Bytes file) : file_(file) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    errors_.base.output_message = on_output;
    progress_.progress_monitor = on_progress;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // Errors of the library come back by longjmp: nothing in these two functions has a destructor.
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file_.data()), file_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool read_pixels(std::uint8_t* out, std::size_t row_bytes) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = out + info_.output_scanline * row_bytes;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  // A side beyond the library's own limit, which it refuses as it reads the header.
  bool too_large() const { return errors_.base.msg_code == JERR_IMAGE_TOO_BIG; }
  Status error() const { return corrupt(errors_.message); }
  bool cut_off() const { return errors_.cut_off; }
  jpeg_decompress_struct& info() { return info_; }

  int orientation() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      const Bytes block(reinterpret_cast<const std::byte*>(marker->data), marker->data_length);
      if (block.size() > 6 &&
          std::string_view(reinterpret_cast<const char*>(block.data()), 4) == "Exif") {
        return exif_orientation(block);
      }
    }
    return 1;
  }

 private:
  Bytes file_;
  jpeg_decompress_struct info_{};
  ErrorManager errors_{};
  jpeg_progress_mgr progress_{};
};

// Files store CMYK inverted (255 is no ink), as the one program did that began it.
void flatten_cmyk(std::vector<std::uint8_t>& pixels) {
  const std::size_t count = pixels.size() / 4;
  std::uint8_t* out = pixels.data();
  const std::uint8_t* in = pixels.data();
  for (std::size_t i = 0; i < count; ++i, in += 4, out += 3) {
    const unsigned light = in[3];
    for (int c = 0; c < 3; ++c) {
      const unsigned absorbed = (255u - in[c]) * light;
      out[c] = static_cast<std::uint8_t>(light - (absorbed + 127) / 255);
    }
  }
  pixels.resize(count * 3);
}

}  // namespace

Result<Image> decode_jpeg(Bytes file, const ImageLimits& limits) {
  Decompressor jpeg(file);
  jpeg_decompress_struct& info = jpeg.info();
  if (!jpeg.read_header()) {
    if (jpeg.too_large())
      QHX_RETURN_IF_ERROR(check_size(info.image_width, info.image_height, limits));
    return jpeg.error();
  }
  QHX_RETURN_IF_ERROR(check_size(info.image_width, info.image_height, limits));
  const bool cmyk = info.num_components == 4;
  if (info.num_components != 1 && info.num_components != 3 && !cmyk) {
    return unsupported("pictures of " + std::to_string(info.num_components) + " components");
  }
  const int orientation = jpeg.orientation();  // finishing drops the markers
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  Image image{static_cast<int>(info.image_width), static_cast<int>(info.image_height), {}};
  const std::size_t channels = cmyk ? 4 : 3;
  image.rgb.resize(image.pixels() * channels);
  if (!jpeg.read_pixels(image.rgb.data(), info.image_width * channels)) return jpeg.error();
  if (jpeg.cut_off())
    return corrupt("the file ends before its picture does: " + std::to_string(file.size()) +
                   " bytes");
  if (cmyk) flatten_cmyk(image.rgb);
  return apply_orientation(std::move(image), orientation);
}

}  // namespace qhx::vision
