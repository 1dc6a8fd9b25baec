#include "qnn/graph_builder.h"

#include <algorithm>
#include <limits>

#include "qnn/error.h"

namespace qhx::qnn {

namespace {

// An encoding in the interface's terms, with the arrays it points to.
struct EncodingArrays {
  std::vector<Qnn_ScaleOffset_t> scale_offsets;
  std::vector<float> scales;
  std::vector<std::int32_t> offsets;
  Dims block;
};

}  // namespace

// A created tensor and the memory its description points to.
struct GraphBuilder::Stored {
  std::string name;
  Dims dims;
  EncodingArrays arrays;
  Qnn_Tensor_t tensor{};
};

namespace {

Qnn_QuantizeParams_t no_encoding() {
  Qnn_QuantizeParams_t params{};
  params.encodingDefinition = QNN_DEFINITION_UNDEFINED;
  params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
  return params;
}

Qnn_Tensor_t describe(Qnn_TensorType_t kind) {
  Qnn_Tensor_t tensor{};
  tensor.version = QNN_TENSOR_VERSION_1;
  tensor.v1.type = kind;
  tensor.v1.dataFormat = QNN_TENSOR_DATA_FORMAT_DENSE;
  tensor.v1.quantizeParams = no_encoding();
  tensor.v1.memType = QNN_TENSORMEMTYPE_RAW;
  return tensor;
}

Qnn_QuantizeParams_t encode(const WeightEncoding& encoding, const Dims& dims,
                            EncodingArrays& arrays) {
  Qnn_QuantizeParams_t params = no_encoding();
  if (encoding.kind == WeightEncoding::Kind::kNone) return params;
  params.encodingDefinition = QNN_DEFINITION_DEFINED;
  const auto count = static_cast<std::uint32_t>(encoding.scales.size());
  if (encoding.kind == WeightEncoding::Kind::kPerChannel4) {
    params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET;
    arrays.scales.assign(encoding.scales.begin(), encoding.scales.end());
    arrays.offsets.assign(count, 0);
    params.bwAxisScaleOffsetEncoding = {4, encoding.axis, count, arrays.scales.data(),
                                        arrays.offsets.data()};
    return params;
  }
  for (const float scale : encoding.scales) arrays.scale_offsets.push_back({scale, 0});
  if (encoding.kind == WeightEncoding::Kind::kPerChannel8) {
    params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
    params.axisScaleOffsetEncoding = {encoding.axis, count, arrays.scale_offsets.data()};
    return params;
  }
  // Groups run along K: the last axis of [N, K], the one before it of [1, 1, K, N].
  arrays.block.assign(dims.size(), 1);
  arrays.block[dims.size() == 2 ? 1 : dims.size() - 2] = encoding.group;
  params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_BLOCK;
  params.blockEncoding = {arrays.block.data(), arrays.scale_offsets.data()};
  return params;
}

// The HTP options of a graph in the interface's terms. Pointers stay valid while the object lives.
struct HtpConfigs {
  explicit HtpConfigs(const HtpGraphOptions& options) {
    custom[0].option = QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION;
    custom[0].optimizationOption = {QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG,
                                    static_cast<float>(options.optimization)};
    custom[1].option = QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB;
    custom[1].vtcmSizeInMB = options.vtcm_mb;
    custom[2].option = QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION;
    custom[2].optimizationOption = {QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC,
                                    options.dlbc ? 1.0f : 0.0f};
    for (std::size_t i = 0; i < kCount; ++i) {
      configs[i].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
      configs[i].customConfig = &custom[i];
      list[i] = &configs[i];
    }
  }
  HtpConfigs(const HtpConfigs&) = delete;

  static constexpr std::size_t kCount = 3;
  QnnHtpGraph_CustomConfig_t custom[kCount] = {};
  QnnGraph_Config_t configs[kCount] = {};
  const QnnGraph_Config_t* list[kCount + 1] = {};
};

// Values that the library accepts without a word and that are wrong.
Status validate(const HtpGraphOptions& options) {
  if (options.optimization < 1 || options.optimization > 3) {
    return invalid_argument("optimization level " + std::to_string(options.optimization) +
                            ": expected 1, 2 or 3");
  }
  if (options.vtcm_mb < 1 || options.vtcm_mb > 8) {
    return invalid_argument("VTCM of " + std::to_string(options.vtcm_mb) + " MB: expected 1 to 8");
  }
  return {};
}

}  // namespace

Param u32_list(const char* name, const Dims& values) {
  return {name,
          TensorParam{QNN_DATATYPE_UINT_32, {static_cast<std::uint32_t>(values.size())}, values}};
}
Param u32_list(const char* name, std::initializer_list<std::uint32_t> values) {
  return u32_list(name, Dims(values));
}

Result<GraphBuilder> GraphBuilder::create(std::shared_ptr<Context> context, std::string name,
                                          const HtpGraphOptions& htp) {
  QHX_RETURN_IF_ERROR(validate(htp).with_context("graph " + name));
  const HtpConfigs configs(htp);
  const bool cpu = context->backend().library().is_qhx_cpu();
  GraphBuilder builder(std::move(context), std::move(name));
  const Qnn_ErrorHandle_t code = builder.context_->api().graphCreate(
      builder.context_->handle(), builder.name_.c_str(),
      cpu ? nullptr : const_cast<const QnnGraph_Config_t**>(configs.list), &builder.handle_);
  QHX_RETURN_IF_ERROR(check(code, "graphCreate " + builder.name_));
  return builder;
}

void GraphBuilder::fail(Status status) {
  if (status_.ok()) status_ = std::move(status).with_context("graph " + name_);
}

Value GraphBuilder::create_tensor(Qnn_Tensor_t tensor, std::string name, Qnn_DataType_t type,
                                  Dims dims, const WeightEncoding& encoding) {
  const Value failed{0, dims, type};
  if (!status_.ok()) return failed;
  auto stored = std::make_shared<Stored>();
  stored->name = std::move(name);
  stored->dims = std::move(dims);
  tensor.v1.quantizeParams = encode(encoding, stored->dims, stored->arrays);
  tensor.v1.name = stored->name.c_str();
  tensor.v1.dataType = type;
  tensor.v1.rank = static_cast<std::uint32_t>(stored->dims.size());
  tensor.v1.dimensions = stored->dims.data();
  fail(check(context_->api().tensorCreateGraphTensor(handle_, &tensor), "tensor " + stored->name));
  if (!status_.ok()) return failed;
  // Operations repeat the whole description, but the library has copied the data by now.
  if (tensor.v1.type == QNN_TENSOR_TYPE_STATIC) tensor.v1.clientBuf = {};
  stored->tensor = tensor;
  tensors_.push_back(stored);
  return {static_cast<std::uint32_t>(tensors_.size() - 1), stored->dims, type};
}

Value GraphBuilder::input(std::string name, Qnn_DataType_t type, Dims dims) {
  return create_tensor(describe(QNN_TENSOR_TYPE_APP_WRITE), std::move(name), type, std::move(dims));
}

Value GraphBuilder::output(std::string name, Qnn_DataType_t type, Dims dims) {
  return create_tensor(describe(QNN_TENSOR_TYPE_APP_READ), std::move(name), type, std::move(dims));
}

Value GraphBuilder::native(Qnn_DataType_t type, Dims dims) {
  return create_tensor(describe(QNN_TENSOR_TYPE_NATIVE), "t" + std::to_string(next_name_++), type,
                       std::move(dims));
}

Value GraphBuilder::constant(std::string name, Qnn_DataType_t type, Dims dims,
                             std::span<const std::byte> bytes, const WeightEncoding& encoding) {
  if (bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail(unsupported("tensor " + name + ": " + std::to_string(bytes.size()) +
                     " bytes; one tensor holds at most 4 GiB"));
  }
  Qnn_Tensor_t tensor = describe(QNN_TENSOR_TYPE_STATIC);
  tensor.v1.clientBuf = {const_cast<std::byte*>(bytes.data()),
                         static_cast<std::uint32_t>(bytes.size())};
  return create_tensor(tensor, std::move(name), type, std::move(dims), encoding);
}

Qnn_Param_t GraphBuilder::make_param(const Param& param,
                                     std::vector<std::unique_ptr<TensorParam>>& keep) {
  Qnn_Param_t out{};
  out.name = param.name;
  out.paramType = QNN_PARAMTYPE_SCALAR;
  if (const bool* flag = std::get_if<bool>(&param.value)) {
    out.scalarParam.dataType = QNN_DATATYPE_BOOL_8;
    out.scalarParam.bool8Value = *flag ? 1 : 0;
  } else if (const auto* u32 = std::get_if<std::uint32_t>(&param.value)) {
    out.scalarParam.dataType = QNN_DATATYPE_UINT_32;
    out.scalarParam.uint32Value = *u32;
  } else if (const auto* i32 = std::get_if<std::int32_t>(&param.value)) {
    out.scalarParam.dataType = QNN_DATATYPE_INT_32;
    out.scalarParam.int32Value = *i32;
  } else if (const float* f32 = std::get_if<float>(&param.value)) {
    out.scalarParam.dataType = QNN_DATATYPE_FLOAT_32;
    out.scalarParam.floatValue = *f32;
  } else {
    keep.push_back(std::make_unique<TensorParam>(std::get<TensorParam>(param.value)));
    TensorParam& list = *keep.back();
    const Value value = constant("p" + std::to_string(next_name_++), list.type, list.dims,
                                 std::as_bytes(std::span(list.words)));
    out.paramType = QNN_PARAMTYPE_TENSOR;
    if (!status_.ok()) return out;
    out.tensorParam = tensors_[value.index]->tensor;
    out.tensorParam.v1.clientBuf = {list.words.data(),
                                    static_cast<std::uint32_t>(list.words.size() * 4)};
  }
  return out;
}

void GraphBuilder::add(const char* op_type, std::initializer_list<Value> inputs,
                       std::initializer_list<Value> outputs, std::vector<Param> params) {
  add(op_type, std::span(inputs.begin(), inputs.size()), std::span(outputs.begin(), outputs.size()),
      std::move(params));
}

void GraphBuilder::add(const char* op_type, std::span<const Value> inputs,
                       std::span<const Value> outputs, std::vector<Param> params) {
  std::vector<std::unique_ptr<TensorParam>> keep;
  std::vector<Qnn_Param_t> op_params;
  for (const Param& param : params) op_params.push_back(make_param(param, keep));
  if (!status_.ok()) return;
  std::vector<Qnn_Tensor_t> in, out;
  for (const Value& value : inputs) in.push_back(tensors_[value.index]->tensor);
  for (const Value& value : outputs) out.push_back(tensors_[value.index]->tensor);
  const std::string name = std::string(op_type) + "_" + std::to_string(next_name_++);
  Qnn_OpConfig_t config{};
  config.version = QNN_OPCONFIG_VERSION_1;
  config.v1 = {name.c_str(),     kOpPackage,
               op_type,          static_cast<std::uint32_t>(op_params.size()),
               op_params.data(), static_cast<std::uint32_t>(in.size()),
               in.data(),        static_cast<std::uint32_t>(out.size()),
               out.data()};
  const auto& api = context_->api();
  fail(check(api.backendValidateOpConfig(context_->backend().handle(), config),
             "operation " + name));
  if (status_.ok()) fail(check(api.graphAddNode(handle_, config), "operation " + name));
}

Result<Graph> GraphBuilder::finalize() && {
  if (!status_.ok()) return status_;
  QHX_RETURN_IF_ERROR(
      check(context_->api().graphFinalize(handle_, nullptr, nullptr), "finalizing graph " + name_));
  GraphInfo info;
  info.name = name_;
  for (const auto& stored : tensors_) {
    const auto kind = stored->tensor.v1.type;
    if (kind != QNN_TENSOR_TYPE_APP_WRITE && kind != QNN_TENSOR_TYPE_APP_READ) continue;
    QHX_ASSIGN_OR_RETURN(TensorInfo tensor, read_tensor(stored->tensor));
    (kind == QNN_TENSOR_TYPE_APP_WRITE ? info.inputs : info.outputs).push_back(std::move(tensor));
  }
  return Graph(std::move(context_), handle_, std::move(info));
}

}  // namespace qhx::qnn
