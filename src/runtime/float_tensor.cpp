#include "runtime/float_tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/f16.h"

namespace qhx::runtime {
namespace {

template <class T>
void quantize(std::span<const float> from, std::span<T> to, float scale, std::int32_t offset) {
  constexpr float kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  for (std::size_t i = 0; i < from.size(); ++i) {
    const float stored = std::nearbyint(from[i] / scale) - static_cast<float>(offset);
    to[i] = static_cast<T>(std::clamp(std::isnan(stored) ? 0.0f : stored, kLow, kHigh));
  }
}

template <class T>
void dequantize(std::span<const T> from, std::span<float> to, float scale, std::int32_t offset) {
  for (std::size_t i = 0; i < from.size(); ++i)
    to[i] = static_cast<float>(static_cast<std::int32_t>(from[i]) + offset) * scale;
}

bool is_fixed_point(Qnn_DataType_t type) {
  return type == QNN_DATATYPE_SFIXED_POINT_8 || type == QNN_DATATYPE_UFIXED_POINT_8 ||
         type == QNN_DATATYPE_SFIXED_POINT_16 || type == QNN_DATATYPE_UFIXED_POINT_16;
}

}  // namespace

Result<FloatTensor> FloatTensor::create(const qnn::TensorInfo& info,
                                        const qnn::TensorMemory& memory) {
  const bool fixed = is_fixed_point(info.type);
  if (info.type != QNN_DATATYPE_FLOAT_32 && info.type != QNN_DATATYPE_FLOAT_16 && !fixed) {
    return unsupported("tensor " + info.name + ": element type " +
                       std::string(qnn::name(info.type)) +
                       "; expected FLOAT_32, FLOAT_16 or a fixed-point type");
  }
  if (fixed && !(info.quantized && std::isfinite(info.scale) && info.scale > 0))
    return corrupt("tensor " + info.name + ": fixed-point without a positive scale");
  if (info.size_bytes() > std::numeric_limits<std::uint32_t>::max())
    return unsupported("tensor " + info.name + ": larger than 4 GiB");
  FloatTensor tensor;
  tensor.info_ = info;
  tensor.count_ = info.element_count();
  tensor.bytes_ = memory.allocate(info.size_bytes());
  if (info.type != QNN_DATATYPE_FLOAT_32)
    tensor.floats_ = AlignedBuffer(tensor.count_ * sizeof(float));
  return tensor;
}

void FloatTensor::store(std::size_t first, std::size_t count) {
  QHX_CHECK(first + count <= count_);
  const std::span<const float> from = floats().subspan(first, count);
  switch (info_.type) {
    case QNN_DATATYPE_FLOAT_16:
      return f32_to_f16(from, bytes_.as<std::uint16_t>().subspan(first, count));
    case QNN_DATATYPE_SFIXED_POINT_8:
      return quantize(from, bytes_.as<std::int8_t>().subspan(first, count), info_.scale,
                      info_.offset);
    case QNN_DATATYPE_UFIXED_POINT_8:
      return quantize(from, bytes_.as<std::uint8_t>().subspan(first, count), info_.scale,
                      info_.offset);
    case QNN_DATATYPE_SFIXED_POINT_16:
      return quantize(from, bytes_.as<std::int16_t>().subspan(first, count), info_.scale,
                      info_.offset);
    case QNN_DATATYPE_UFIXED_POINT_16:
      return quantize(from, bytes_.as<std::uint16_t>().subspan(first, count), info_.scale,
                      info_.offset);
    default:
      return;
  }
}

void FloatTensor::load(std::size_t first, std::size_t count) {
  QHX_CHECK(first + count <= count_);
  const std::span<float> to = floats().subspan(first, count);
  const auto part = [&]<class T>(T) {
    return std::span<const T>(bytes_.as<T>().subspan(first, count));
  };
  switch (info_.type) {
    case QNN_DATATYPE_FLOAT_16:
      return f16_to_f32(part(std::uint16_t{}), to);
    case QNN_DATATYPE_SFIXED_POINT_8:
      return dequantize(part(std::int8_t{}), to, info_.scale, info_.offset);
    case QNN_DATATYPE_UFIXED_POINT_8:
      return dequantize(part(std::uint8_t{}), to, info_.scale, info_.offset);
    case QNN_DATATYPE_SFIXED_POINT_16:
      return dequantize(part(std::int16_t{}), to, info_.scale, info_.offset);
    case QNN_DATATYPE_UFIXED_POINT_16:
      return dequantize(part(std::uint16_t{}), to, info_.scale, info_.offset);
    default:
      return;
  }
}

}  // namespace qhx::runtime
