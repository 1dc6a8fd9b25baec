#include "tune/samples.h"

#include <algorithm>

#include "forge/ranges/drawing.h"
#include "forge/ranges/texts.h"
#include "verify/engine_trace.h"

namespace qhx::tune {
namespace {

constexpr std::size_t kTexts = 4;

vision::Image inverted(vision::Image image) {
  for (std::uint8_t& value : image.rgb) value = static_cast<std::uint8_t>(255 - value);
  return image;
}

// The same scene at the bundle's size, seen from further away, and in other colours.
std::vector<vision::Image> pictures(int width, int height) {
  return {forge::draw_calibration_picture(width, height),
          forge::draw_calibration_picture(3 * width, 3 * height),
          inverted(forge::draw_calibration_picture(2 * width, height))};
}

}  // namespace

Result<std::vector<verify::Input>> make_samples(const engine::Engine& engine) {
  std::vector<verify::Input> samples;
  const auto add = [&](verify::Input input) -> Status {
    QHX_RETURN_IF_ERROR(verify::encode_input(engine, input));
    input.answer_ids = {input.prompt_ids.back()};
    if (verify::check_room(engine, input.prompt_ids.size(), 1).ok())
      samples.push_back(std::move(input));
    return {};
  };
  if (const auto& size = engine.manifest().vision; size.has_value()) {
    for (vision::Image& picture :
         pictures(static_cast<int>(size->width), static_cast<int>(size->height))) {
      verify::Input input;
      input.prompt = "Describe this picture.";
      input.picture = std::move(picture);
      QHX_RETURN_IF_ERROR(add(std::move(input)));
    }
  }
  const auto texts = forge::passages();
  for (std::size_t i = 0; i < std::min(kTexts, texts.size()); ++i) {
    verify::Input input;
    input.prompt = texts[i * texts.size() / kTexts];
    QHX_RETURN_IF_ERROR(add(std::move(input)));
  }
  if (samples.empty())
    return unsupported("the context of the bundle is too short for every sample of qhx tune");
  return samples;
}

}  // namespace qhx::tune
