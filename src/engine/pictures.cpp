#include "engine/pictures.h"

#include "vision/resize.h"

namespace qhx::engine {
namespace {

bool is_file(const qhexrt::Picture& picture) { return picture.width == 0 && picture.height == 0; }

Result<vision::Image> pixels_of(const qhexrt::Picture& picture) {
  if (is_file(picture)) return vision::decode_image(std::as_bytes(std::span(picture.file)));
  vision::Image image;
  image.width = picture.width;
  image.height = picture.height;
  if (picture.width <= 0 || picture.height <= 0 ||
      image.pixels() > vision::ImageLimits{}.max_pixels ||
      picture.rgb.size() != 3 * image.pixels()) {
    return invalid_argument("picture of " + std::to_string(picture.width) + " x " +
                            std::to_string(picture.height) + " pixels comes with " +
                            std::to_string(picture.rgb.size()) + " bytes of RGB");
  }
  image.rgb = picture.rgb;
  return image;
}

}  // namespace

PictureId identify(const qhexrt::Picture& picture) {
  const int size[] = {picture.width, picture.height};
  return Sha256()
      .add(std::as_bytes(std::span(size)))
      .add(std::as_bytes(std::span(is_file(picture) ? picture.file : picture.rgb)))
      .digest();
}

Result<vision::Image> prepare_picture(const qhexrt::Picture& picture,
                                      const manifest::Vision& vision) {
  QHX_ASSIGN_OR_RETURN(const vision::Image decoded, pixels_of(picture));
  const vision::Size size{static_cast<int>(vision.width), static_cast<int>(vision.height)};
  const auto mode =
      vision.resize == "letterbox" ? vision::FitMode::kLetterbox : vision::FitMode::kStretch;
  return vision::fit_image(decoded, size, mode, vision.pad);
}

}  // namespace qhx::engine
