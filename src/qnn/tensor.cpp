#include "qnn/tensor.h"

#include <limits>

namespace qhx::qnn {
namespace {
constexpr std::uint32_t kMaxRank = 8;
constexpr std::size_t kMaxElements = std::size_t{1} << 40;
}  // namespace

std::size_t size_bytes(Qnn_DataType_t type) {
  switch (type) {
    case QNN_DATATYPE_INT_8:
    case QNN_DATATYPE_UINT_8:
    case QNN_DATATYPE_SFIXED_POINT_8:
    case QNN_DATATYPE_UFIXED_POINT_8:
    case QNN_DATATYPE_BOOL_8:
      return 1;
    case QNN_DATATYPE_INT_16:
    case QNN_DATATYPE_UINT_16:
    case QNN_DATATYPE_FLOAT_16:
    case QNN_DATATYPE_BFLOAT_16:
    case QNN_DATATYPE_SFIXED_POINT_16:
    case QNN_DATATYPE_UFIXED_POINT_16:
      return 2;
    case QNN_DATATYPE_INT_32:
    case QNN_DATATYPE_UINT_32:
    case QNN_DATATYPE_FLOAT_32:
    case QNN_DATATYPE_SFIXED_POINT_32:
    case QNN_DATATYPE_UFIXED_POINT_32:
      return 4;
    case QNN_DATATYPE_INT_64:
    case QNN_DATATYPE_UINT_64:
    case QNN_DATATYPE_FLOAT_64:
      return 8;
    default:
      return 0;
  }
}

std::string_view name(Qnn_DataType_t type) {
  switch (type) {
    case QNN_DATATYPE_INT_8:
      return "INT_8";
    case QNN_DATATYPE_INT_16:
      return "INT_16";
    case QNN_DATATYPE_INT_32:
      return "INT_32";
    case QNN_DATATYPE_INT_64:
      return "INT_64";
    case QNN_DATATYPE_UINT_8:
      return "UINT_8";
    case QNN_DATATYPE_UINT_16:
      return "UINT_16";
    case QNN_DATATYPE_UINT_32:
      return "UINT_32";
    case QNN_DATATYPE_UINT_64:
      return "UINT_64";
    case QNN_DATATYPE_FLOAT_16:
      return "FLOAT_16";
    case QNN_DATATYPE_BFLOAT_16:
      return "BFLOAT_16";
    case QNN_DATATYPE_FLOAT_32:
      return "FLOAT_32";
    case QNN_DATATYPE_FLOAT_64:
      return "FLOAT_64";
    case QNN_DATATYPE_SFIXED_POINT_4:
      return "SFIXED_POINT_4";
    case QNN_DATATYPE_SFIXED_POINT_8:
      return "SFIXED_POINT_8";
    case QNN_DATATYPE_SFIXED_POINT_16:
      return "SFIXED_POINT_16";
    case QNN_DATATYPE_SFIXED_POINT_32:
      return "SFIXED_POINT_32";
    case QNN_DATATYPE_UFIXED_POINT_4:
      return "UFIXED_POINT_4";
    case QNN_DATATYPE_UFIXED_POINT_8:
      return "UFIXED_POINT_8";
    case QNN_DATATYPE_UFIXED_POINT_16:
      return "UFIXED_POINT_16";
    case QNN_DATATYPE_UFIXED_POINT_32:
      return "UFIXED_POINT_32";
    case QNN_DATATYPE_BOOL_8:
      return "BOOL_8";
    case QNN_DATATYPE_STRING:
      return "STRING";
    default:
      return "UNDEFINED";
  }
}

std::string_view name(Qnn_QuantizationEncoding_t encoding) {
  switch (encoding) {
    case QNN_QUANTIZATION_ENCODING_UNDEFINED:
      return "";
    case QNN_QUANTIZATION_ENCODING_SCALE_OFFSET:
      return "per tensor";
    case QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET:
      return "per channel";
    case QNN_QUANTIZATION_ENCODING_BW_SCALE_OFFSET:
      return "per tensor, narrow";
    case QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET:
      return "per channel, narrow";
    case QNN_QUANTIZATION_ENCODING_BLOCK:
      return "per block";
    case QNN_QUANTIZATION_ENCODING_BLOCKWISE_EXPANSION:
      return "per block, expanded";
  }
  return "unknown encoding";
}

std::string to_string(const std::vector<std::uint32_t>& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::size_t TensorInfo::element_count() const {
  std::size_t count = 1;
  for (const std::uint32_t extent : dims) count *= extent;
  return count;
}

std::size_t TensorInfo::size_bytes() const { return element_count() * qnn::size_bytes(type); }

Result<TensorInfo> read_tensor(const Qnn_Tensor_t& tensor) {
  if (tensor.version != QNN_TENSOR_VERSION_1 && tensor.version != QNN_TENSOR_VERSION_2) {
    return corrupt("tensor description of unknown version " + std::to_string(tensor.version));
  }
  const Qnn_TensorV1_t& v1 = tensor.v1;  // version 2 starts the same
  TensorInfo info;
  info.name = v1.name != nullptr ? v1.name : "";
  info.id = v1.id;
  info.type = v1.dataType;
  if (qnn::size_bytes(info.type) == 0)
    return corrupt("tensor " + info.name + ": element type " + std::string(name(info.type)));
  if (v1.rank > kMaxRank || (v1.rank > 0 && v1.dimensions == nullptr)) {
    return corrupt("tensor " + info.name + ": rank " + std::to_string(v1.rank));
  }
  std::size_t count = 1;
  for (std::uint32_t i = 0; i < v1.rank; ++i) {
    const std::uint32_t extent = v1.dimensions[i];
    if (extent == 0 || count > kMaxElements / extent)
      return corrupt("tensor " + info.name + ": impossible dimensions");
    count *= extent;
    info.dims.push_back(extent);
  }
  const Qnn_QuantizeParams_t& q = v1.quantizeParams;
  if (q.encodingDefinition == QNN_DEFINITION_DEFINED) info.encoding = q.quantizationEncoding;
  if (q.encodingDefinition == QNN_DEFINITION_DEFINED &&
      q.quantizationEncoding == QNN_QUANTIZATION_ENCODING_SCALE_OFFSET) {
    info.quantized = true;
    info.scale = q.scaleOffsetEncoding.scale;
    info.offset = q.scaleOffsetEncoding.offset;
  }
  return info;
}

}  // namespace qhx::qnn
