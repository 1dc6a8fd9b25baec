#include "vision/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"

namespace qhx::vision {
namespace {

// Keys' cubic convolution kernel. -0.5 is what antialiased resizing uses (-0.75 belongs to the
// plain one).
double cubic(double t) {
  constexpr double a = -0.5;
  t = std::abs(t);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

// One axis: output i is the sum of weights[i * taps + k] * source[first[i] + k] over k < count[i],
// rounded and shifted right by `precision`.
struct AxisWeights {
  int precision = 0;
  std::size_t taps = 0;
  std::vector<std::size_t> first;
  std::vector<std::size_t> count;
  std::vector<std::int32_t> weights;
};

// Weights of all outputs in floating point, `axis.taps` for each; fills first and count.
std::vector<double> float_weights(int in, int out, AxisWeights& axis) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2 * filter_scale;
  axis.taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  const auto outputs = static_cast<std::size_t>(out);
  axis.first.resize(outputs);
  axis.count.resize(outputs);
  std::vector<double> weights(outputs * axis.taps, 0.0);
  for (std::size_t i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int low = std::max(static_cast<int>(center - support + 0.5), 0);
    const int high = std::min(static_cast<int>(center + support + 0.5), in);
    axis.first[i] = static_cast<std::size_t>(low);
    axis.count[i] = static_cast<std::size_t>(high - low);
    double* row = weights.data() + i * axis.taps;
    double sum = 0;
    for (int x = low; x < high; ++x) {
      row[x - low] = cubic((x - center + 0.5) * (1.0 / filter_scale));
      sum += row[x - low];
    }
    for (int x = low; x < high; ++x) row[x - low] /= sum;
  }
  return weights;
}

AxisWeights axis_weights(int in, int out) {
  AxisWeights axis;
  const std::vector<double> weights = float_weights(in, out, axis);
  // As many fractional bits as let the largest weight fit 16 bits with its sign, at most 22.
  const double largest = *std::max_element(weights.begin(), weights.end());
  while (axis.precision < 22 &&
         static_cast<int>(0.5 + largest * (1 << (axis.precision + 1))) < (1 << 15)) {
    ++axis.precision;
  }
  axis.weights.reserve(weights.size());
  for (const double weight : weights) {
    const double scaled = weight * (1 << axis.precision);
    axis.weights.push_back(static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
  }
  return axis;
}

std::uint8_t to_level(std::int32_t sum, int precision) {
  return static_cast<std::uint8_t>(std::clamp(sum >> precision, 0, 255));
}

Image resize_width(const Image& image, int width) {
  const AxisWeights axis = axis_weights(image.width, width);
  Image result{width, image.height, {}};
  result.rgb.resize(result.pixels() * 3);
  const std::int32_t half = 1 << (axis.precision - 1);
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * 3;
  std::uint8_t* out = result.rgb.data();
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* row = image.rgb.data() + static_cast<std::size_t>(y) * row_bytes;
    for (std::size_t x = 0; x < axis.first.size(); ++x, out += 3) {
      const std::int32_t* weights = axis.weights.data() + x * axis.taps;
      const std::uint8_t* source = row + axis.first[x] * 3;
      std::int32_t red = half, green = half, blue = half;
      for (std::size_t k = 0; k < axis.count[x]; ++k, source += 3) {
        red += weights[k] * source[0];
        green += weights[k] * source[1];
        blue += weights[k] * source[2];
      }
      out[0] = to_level(red, axis.precision);
      out[1] = to_level(green, axis.precision);
      out[2] = to_level(blue, axis.precision);
    }
  }
  return result;
}

Image resize_height(const Image& image, int height) {
  const AxisWeights axis = axis_weights(image.height, height);
  Image result{image.width, height, {}};
  result.rgb.resize(result.pixels() * 3);
  const std::size_t row_bytes = static_cast<std::size_t>(image.width) * 3;
  std::vector<std::int32_t> sums(row_bytes);
  for (std::size_t y = 0; y < axis.first.size(); ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (axis.precision - 1));
    for (std::size_t k = 0; k < axis.count[y]; ++k) {
      const std::int32_t weight = axis.weights[y * axis.taps + k];
      const std::uint8_t* row = image.rgb.data() + (axis.first[y] + k) * row_bytes;
      for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += weight * row[i];
    }
    std::uint8_t* out = result.rgb.data() + y * row_bytes;
    for (std::size_t i = 0; i < row_bytes; ++i) out[i] = to_level(sums[i], axis.precision);
  }
  return result;
}

// `part` of `whole`, scaled to `target`, rounded half up.
int scaled_side(int part, int target, int whole) {
  const auto p = static_cast<std::int64_t>(part), t = static_cast<std::int64_t>(target),
             w = static_cast<std::int64_t>(whole);
  return static_cast<int>(std::max<std::int64_t>((2 * p * t + w) / (2 * w), 1));
}

Image letterbox(const Image& image, Size target, std::array<std::uint8_t, 3> padding) {
  const bool wide = static_cast<std::int64_t>(target.width) * image.height <=
                    static_cast<std::int64_t>(target.height) * image.width;
  Size inner = target;
  if (wide) {
    inner.height = std::min(scaled_side(image.height, target.width, image.width), target.height);
  } else {
    inner.width = std::min(scaled_side(image.width, target.height, image.height), target.width);
  }
  if (inner == target) return resize_bicubic(image, target);
  const Image scaled = resize_bicubic(image, inner);
  Image result{target.width, target.height, {}};
  result.rgb.resize(result.pixels() * 3);
  for (std::size_t i = 0; i < result.rgb.size(); ++i) result.rgb[i] = padding[i % 3];
  const auto left = static_cast<std::size_t>((target.width - inner.width) / 2);
  const auto top = static_cast<std::size_t>((target.height - inner.height) / 2);
  const std::size_t row_bytes = static_cast<std::size_t>(inner.width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(inner.height); ++y) {
    std::uint8_t* out =
        result.rgb.data() + ((top + y) * static_cast<std::size_t>(target.width) + left) * 3;
    std::memcpy(out, scaled.rgb.data() + y * row_bytes, row_bytes);
  }
  return result;
}

// A multiple of `factor` near value; `round` is one of floor, ceil and nearbyint (half to even).
template <typename Round>
double multiple(double value, int factor, Round round) {
  return round(value / factor) * factor;
}

}  // namespace

Image resize_bicubic(const Image& image, Size target) {
  QHX_CHECK(target.width > 0 && target.height > 0 && image.width > 0 && image.height > 0);
  if (target.width == image.width) {
    return target.height == image.height ? image : resize_height(image, target.height);
  }
  Image resized = resize_width(image, target.width);
  return target.height == image.height ? resized : resize_height(resized, target.height);
}

Image fit_image(const Image& image, Size target, FitMode mode,
                std::array<std::uint8_t, 3> padding) {
  QHX_CHECK(target.width > 0 && target.height > 0 && image.width > 0 && image.height > 0);
  if (mode == FitMode::kStretch) return resize_bicubic(image, target);
  return letterbox(image, target, padding);
}

Result<Size> smart_resize(Size size, int factor, std::size_t min_pixels, std::size_t max_pixels) {
  QHX_CHECK(size.width > 0 && size.height > 0 && factor > 0);
  const double w = size.width, h = size.height;
  if (std::max(w, h) / std::min(w, h) > 200) {
    return out_of_range("picture of " + std::to_string(size.width) + " x " +
                        std::to_string(size.height) +
                        ": one side may be at most 200 times the other");
  }
  const auto even = [](double x) { return std::nearbyint(x); };
  const auto down = [](double x) { return std::floor(x); };
  const auto up = [](double x) { return std::ceil(x); };
  double width = multiple(w, factor, even), height = multiple(h, factor, even);
  const auto low = static_cast<double>(min_pixels), high = static_cast<double>(max_pixels);
  if (width * height > high) {
    const double beta = std::sqrt(h * w / high);
    height = std::max<double>(factor, multiple(h / beta, factor, down));
    width = std::max<double>(factor, multiple(w / beta, factor, down));
  } else if (width * height < low) {
    const double beta = std::sqrt(low / (h * w));
    height = multiple(h * beta, factor, up);
    width = multiple(w * beta, factor, up);
  }
  return Size{static_cast<int>(width), static_cast<int>(height)};
}

}  // namespace qhx::vision
