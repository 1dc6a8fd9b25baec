#include "abi/convert.h"

#include <cstdio>
#include <cstring>

namespace qhx::cpu::abi {
namespace {

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%x", value);
  return text;
}

Result<DType> dtype_from(Qnn_DataType_t type) {
  switch (type) {
    case QNN_DATATYPE_FLOAT_16:
      return DType::kF16;
    case QNN_DATATYPE_FLOAT_32:
      return DType::kF32;
    case QNN_DATATYPE_INT_32:
      return DType::kI32;
    case QNN_DATATYPE_UINT_32:
      return DType::kU32;
    case QNN_DATATYPE_BOOL_8:
      return DType::kBool;
    case QNN_DATATYPE_INT_8:
    case QNN_DATATYPE_SFIXED_POINT_8:
      return DType::kI8;
    case QNN_DATATYPE_UFIXED_POINT_8:
      return DType::kU8;
    default:
      return invalid_argument(
          "data type " + hex(type) +
          " is not supported: use FLOAT_16, FLOAT_32, INT_8, INT_32, UINT_32, BOOL_8 or "
          "SFIXED_POINT_8");
  }
}

Result<Role> role_from(Qnn_TensorType_t type) {
  switch (type) {
    case QNN_TENSOR_TYPE_APP_WRITE:
      return Role::kInput;
    case QNN_TENSOR_TYPE_APP_READ:
      return Role::kOutput;
    case QNN_TENSOR_TYPE_NATIVE:
      return Role::kNative;
    case QNN_TENSOR_TYPE_STATIC:
      return Role::kStatic;
    default:
      return invalid_argument("tensor type " + std::to_string(type) + " is not supported");
  }
}

// ---- Quantization ----

using Kind = Quantization::Kind;

Status read_axis(const Qnn_AxisScaleOffset_t& from, const Dims& dims, Quantization& to) {
  to.kind = Kind::kPerChannel;
  to.axis = from.axis;
  const bool in_range = from.axis >= 0 && static_cast<std::size_t>(from.axis) < dims.size();
  if (!in_range || from.numScaleOffsets != dims[static_cast<std::size_t>(from.axis)] ||
      from.scaleOffset == nullptr) {
    return invalid_argument(
        "AXIS_SCALE_OFFSET: expected a scale for each index of an axis, found axis " +
        std::to_string(from.axis) + " and " + std::to_string(from.numScaleOffsets) + " scales");
  }
  for (const Qnn_ScaleOffset_t& so : std::span(from.scaleOffset, from.numScaleOffsets)) {
    to.scales.push_back(so.scale);
    to.has_offset |= so.offset != 0;
  }
  return {};
}

Status read_bw_axis(const Qnn_BwAxisScaleOffset_t& from, const Dims& dims, Quantization& to) {
  if (from.bitwidth != 4 && from.bitwidth != 8) {
    return invalid_argument("BW_AXIS_SCALE_OFFSET: expected bitwidth 4 or 8, found " +
                            std::to_string(from.bitwidth));
  }
  to.kind = from.bitwidth == 4 ? Kind::kPerChannel4 : Kind::kPerChannel;
  to.axis = from.axis;
  const bool in_range = from.axis >= 0 && static_cast<std::size_t>(from.axis) < dims.size();
  if (!in_range || from.numElements != dims[static_cast<std::size_t>(from.axis)] ||
      from.scales == nullptr) {
    return invalid_argument(
        "BW_AXIS_SCALE_OFFSET: expected a scale for each index of an axis, found axis " +
        std::to_string(from.axis) + " and " + std::to_string(from.numElements) + " scales");
  }
  to.scales.assign(from.scales, from.scales + from.numElements);
  for (std::uint32_t i = 0; from.offsets != nullptr && i < from.numElements; ++i) {
    to.has_offset |= from.offsets[i] != 0;
  }
  return {};
}

// Blocks along one axis, each of the others in blocks of 1: 4-bit groups.
Status read_block(const Qnn_BlockEncoding_t& from, const Dims& dims, Quantization& to) {
  to.kind = Kind::kGroups4;
  to.axis = -1;
  if (from.blockSize == nullptr || from.scaleOffset == nullptr)
    return invalid_argument("BLOCK: a pointer is null");
  std::uint64_t scales = 1;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const std::uint32_t block = from.blockSize[d];
    if (block == 0 || dims[d] % block != 0) {
      return invalid_argument("BLOCK: block size " + std::to_string(block) +
                              " does not divide dimension " + std::to_string(dims[d]));
    }
    scales *= dims[d] / block;
    if (block == 1) continue;
    if (to.axis >= 0) return invalid_argument("BLOCK: expected blocks along one axis, found more");
    to.axis = static_cast<int>(d);
    to.group = block;
  }
  if (to.axis < 0) return invalid_argument("BLOCK: expected a block size above 1 on one axis");
  for (const Qnn_ScaleOffset_t& so : std::span(from.scaleOffset, scales)) {
    to.scales.push_back(so.scale);
    to.has_offset |= so.offset != 0;
  }
  return {};
}

Status read_quantization(const Qnn_QuantizeParams_t& from, const Dims& dims, Quantization& to) {
  if (from.encodingDefinition != QNN_DEFINITION_DEFINED) return {};
  switch (from.quantizationEncoding) {
    case QNN_QUANTIZATION_ENCODING_UNDEFINED:
      return {};
    case QNN_QUANTIZATION_ENCODING_SCALE_OFFSET:
      to.kind = Kind::kPerTensor;
      to.scales = {from.scaleOffsetEncoding.scale};
      to.has_offset = from.scaleOffsetEncoding.offset != 0;
      return {};
    case QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET:
      return read_axis(from.axisScaleOffsetEncoding, dims, to);
    case QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET:
      return read_bw_axis(from.bwAxisScaleOffsetEncoding, dims, to);
    case QNN_QUANTIZATION_ENCODING_BLOCK:
      return read_block(from.blockEncoding, dims, to);
    default:
      return invalid_argument("quantization encoding " + std::to_string(from.quantizationEncoding) +
                              " is not supported");
  }
}

// ---- Parameters ----

Status add_scalar(std::string_view name, const Qnn_Scalar_t& scalar, Attributes& to) {
  const std::string key(name);
  switch (scalar.dataType) {
    case QNN_DATATYPE_FLOAT_32:
      to.floats[key] = scalar.floatValue;
      return {};
    case QNN_DATATYPE_FLOAT_64:
      to.floats[key] = scalar.doubleValue;
      return {};
    case QNN_DATATYPE_INT_32:
      to.ints[key] = {scalar.int32Value};
      return {};
    case QNN_DATATYPE_UINT_32:
      to.ints[key] = {scalar.uint32Value};
      return {};
    case QNN_DATATYPE_INT_64:
      to.ints[key] = {scalar.int64Value};
      return {};
    case QNN_DATATYPE_BOOL_8:
      to.ints[key] = {scalar.bool8Value != 0};
      return {};
    default:
      return invalid_argument("parameter '" + key + "': scalar type " + hex(scalar.dataType) +
                              " is not supported");
  }
}

Status add_tensor(std::string_view name, const Qnn_Tensor_t& tensor, const FindConstant& find,
                  Attributes& to) {
  constexpr std::uint64_t kMostValues = 4096;
  const std::string what = "parameter '" + std::string(name) + "'";
  Result<Tensor> described = tensor_from(tensor);
  if (!described.ok()) return described.status().with_context(what);
  const DType type = described->dtype;
  if (type != DType::kI32 && type != DType::kU32)
    return invalid_argument(what + ": expected INT_32 or UINT_32");
  if (described->elements() > kMostValues) return invalid_argument(what + ": has too many values");
  std::span<const std::byte> bytes;
  std::shared_ptr<const Blob> stored;
  const std::shared_ptr<Constant> constant =
      tensor.v1.id != 0 && find ? find(tensor.v1.id) : nullptr;
  if (constant != nullptr) {
    stored = constant->raw();
    bytes = stored->bytes();
  } else {
    QHX_ASSIGN_OR_RETURN(bytes, client_buffer(tensor));
  }
  if (bytes.size() != described->size_bytes()) {
    return invalid_argument(what + ": expected " + std::to_string(described->size_bytes()) +
                            " bytes, found " + std::to_string(bytes.size()));
  }
  std::vector<std::int64_t>& values = to.ints[std::string(name)];
  for (std::size_t i = 0; i < described->elements(); ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + i * sizeof(word), sizeof(word));
    values.push_back(type == DType::kU32 ? std::int64_t{word}
                                         : std::int64_t{static_cast<std::int32_t>(word)});
  }
  return {};
}

}  // namespace

Result<Tensor> tensor_from(const Qnn_Tensor_t& from) {
  if (from.version != QNN_TENSOR_VERSION_1 && from.version != QNN_TENSOR_VERSION_2) {
    return invalid_argument("tensor version " + std::to_string(from.version) + " is not supported");
  }
  const Qnn_TensorV1_t& t = from.v1;  // a prefix of version 2
  Tensor tensor;
  tensor.name = t.name == nullptr ? "" : t.name;
  const std::string what = "tensor '" + tensor.name + "'";
  if (from.version == QNN_TENSOR_VERSION_2 && from.v2.isDynamicDimensions != nullptr) {
    return invalid_argument(what + ": dynamic dimensions are not supported");
  }
  if (t.dataFormat != QNN_TENSOR_DATA_FORMAT_DENSE)
    return invalid_argument(what + ": expected the dense data format");
  if (t.rank == 0 || t.rank > kMaxRank || t.dimensions == nullptr) {
    return invalid_argument(what + ": expected rank 1 to 8, found " + std::to_string(t.rank));
  }
  tensor.dims.assign(t.dimensions, t.dimensions + t.rank);
  Result<Role> role = role_from(t.type);
  if (!role.ok()) return role.status().with_context(what);
  tensor.role = *role;
  Result<DType> dtype = dtype_from(t.dataType);
  if (!dtype.ok()) return dtype.status().with_context(what);
  tensor.dtype = *dtype;
  if (t.dataType == QNN_DATATYPE_INT_8 && tensor.is_static())
    return invalid_argument(what + ": static INT_8 is not supported: use SFIXED_POINT_8");
  if (t.dataType == QNN_DATATYPE_SFIXED_POINT_8 && !tensor.is_static()) {
    return invalid_argument(what +
                            ": SFIXED_POINT_8 is for static weights; use INT_8 and Cast elsewhere");
  }
  QHX_RETURN_IF_ERROR(check_dims(tensor.dims, tensor.dtype, what));
  QHX_RETURN_IF_ERROR(
      read_quantization(t.quantizeParams, tensor.dims, tensor.quantization).with_context(what));
  return tensor;
}

Result<std::span<const std::byte>> client_buffer(const Qnn_Tensor_t& tensor) {
  const Qnn_TensorV1_t& t = tensor.v1;
  const std::string what = "tensor '" + std::string(t.name == nullptr ? "" : t.name) + "'";
  if (t.memType != QNN_TENSORMEMTYPE_RAW) return invalid_argument(what + ": expected a RAW buffer");
  if (t.clientBuf.data == nullptr) return invalid_argument(what + ": its buffer is null");
  return std::span(static_cast<const std::byte*>(t.clientBuf.data), t.clientBuf.dataSize);
}

Result<Attributes> attributes_from(std::span<const Qnn_Param_t> params, const FindConstant& find) {
  Attributes attributes;
  for (const Qnn_Param_t& param : params) {
    if (param.name == nullptr) return invalid_argument("a parameter has no name");
    const std::string_view name = param.name;
    if (attributes.ints.contains(name) || attributes.floats.contains(name)) {
      return invalid_argument("parameter '" + std::string(name) + "' is given twice");
    }
    if (param.paramType == QNN_PARAMTYPE_SCALAR) {
      QHX_RETURN_IF_ERROR(add_scalar(name, param.scalarParam, attributes));
    } else if (param.paramType == QNN_PARAMTYPE_TENSOR) {
      QHX_RETURN_IF_ERROR(add_tensor(name, param.tensorParam, find, attributes));
    } else {
      return invalid_argument("parameter '" + std::string(name) + "': unknown kind");
    }
  }
  return attributes;
}

Result<OpConfig> op_config_from(const Qnn_OpConfig_t& from) {
  constexpr std::uint32_t kMost = 4096;
  if (from.version != QNN_OPCONFIG_VERSION_1) {
    return invalid_argument("op config version " + std::to_string(from.version) +
                            " is not supported");
  }
  const Qnn_OpConfigV1_t& v = from.v1;
  if (v.name == nullptr || v.typeName == nullptr)
    return invalid_argument("an op has no name or no type");
  const bool complete = (v.numOfParams == 0 || v.params != nullptr) &&
                        (v.numOfInputs == 0 || v.inputTensors != nullptr) &&
                        (v.numOfOutputs == 0 || v.outputTensors != nullptr);
  if (!complete || v.numOfParams > kMost || v.numOfInputs > kMost || v.numOfOutputs > kMost) {
    return invalid_argument("op '" + std::string(v.name) + "': a list is null or too long");
  }
  return OpConfig{.name = v.name,
                  .type = v.typeName,
                  .params = {v.params, v.numOfParams},
                  .inputs = {v.inputTensors, v.numOfInputs},
                  .outputs = {v.outputTensors, v.numOfOutputs}};
}

Qnn_DataType_t data_type_of(DType type) {
  switch (type) {
    case DType::kF16:
      return QNN_DATATYPE_FLOAT_16;
    case DType::kF32:
      return QNN_DATATYPE_FLOAT_32;
    case DType::kI32:
      return QNN_DATATYPE_INT_32;
    case DType::kU32:
      return QNN_DATATYPE_UINT_32;
    case DType::kBool:
      return QNN_DATATYPE_BOOL_8;
    case DType::kI8:
      return QNN_DATATYPE_INT_8;
    case DType::kU8:
      return QNN_DATATYPE_UFIXED_POINT_8;
    default:
      return QNN_DATATYPE_UNDEFINED;
  }
}

}  // namespace qhx::cpu::abi
