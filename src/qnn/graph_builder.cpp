#include "qnn/graph_builder.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
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

Qnn_QuantizeParams_t encode(const Encoding& encoding, const Dims& dims, EncodingArrays& arrays) {
  Qnn_QuantizeParams_t params = no_encoding();
  if (encoding.kind == Encoding::Kind::kNone) return params;
  params.encodingDefinition = QNN_DEFINITION_DEFINED;
  if (encoding.kind == Encoding::Kind::kTensor) {
    params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
    params.scaleOffsetEncoding = {encoding.scale, encoding.offset};
    return params;
  }
  const auto count = static_cast<std::uint32_t>(encoding.scales.size());
  if (encoding.kind == Encoding::Kind::kPerChannel4) {
    params.quantizationEncoding = QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET;
    arrays.scales.assign(encoding.scales.begin(), encoding.scales.end());
    arrays.offsets.assign(count, 0);
    params.bwAxisScaleOffsetEncoding = {4, encoding.axis, count, arrays.scales.data(),
                                        arrays.offsets.data()};
    return params;
  }
  for (const float scale : encoding.scales) arrays.scale_offsets.push_back({scale, 0});
  if (encoding.kind == Encoding::Kind::kPerChannel) {
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
class HtpConfigs {
 public:
  HtpConfigs(const HtpGraphOptions& options, const std::string& graph) {
    optimization(QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG,
                 static_cast<float>(options.optimization));
    add(QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB).vtcmSizeInMB = options.vtcm_mb;
    optimization(QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC, options.dlbc ? 1.0f : 0.0f);
    if (options.simulation) simulate(*options.simulation, graph);
  }
  HtpConfigs(const HtpConfigs&) = delete;

  // Ends with a null pointer.
  const QnnGraph_Config_t** list() { return list_.data(); }

 private:
  static constexpr std::size_t kMost = 8;

  QnnHtpGraph_CustomConfig_t& add(QnnHtpGraph_ConfigOption_t option) {
    QHX_CHECK(count_ < kMost);
    configs_[count_].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
    configs_[count_].customConfig = &custom_[count_];
    list_[count_] = &configs_[count_];
    custom_[count_].option = option;
    return custom_[count_++];
  }

  void optimization(QnnHtpGraph_OptimizationType_t type, float value) {
    add(QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION).optimizationOption = {type, value};
  }

  Qnn_Scalar_t& finalize_option(const char* key, Qnn_DataType_t type) {
    QnnHtpGraph_FinalizeConfig_t& option =
        add(QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG).finalizeConfig;
    option = {key, {}};
    option.value.dataType = type;
    return option.value;
  }

  void simulate(const HtpSimulation& simulation, const std::string& graph) {
    trace_ = simulation.trace_file(graph).string();
    finalize_option("hextimate", QNN_DATATYPE_BOOL_8).bool8Value = 1;
    finalize_option("sim_trace_final", QNN_DATATYPE_STRING).stringValue = trace_.c_str();
    for (const char* key : {"sim_core_voltage_corner", "sim_bus_voltage_corner"})
      finalize_option(key, QNN_DATATYPE_INT_32).int32Value = simulation.corner;
  }

  std::string trace_;
  std::size_t count_ = 0;
  std::array<QnnHtpGraph_CustomConfig_t, kMost> custom_ = {};
  std::array<QnnGraph_Config_t, kMost> configs_ = {};
  std::array<const QnnGraph_Config_t*, kMost + 1> list_ = {};
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
  if (options.simulation && (options.simulation->corner < 1 || options.simulation->corner > 9)) {
    return invalid_argument("voltage corner " + std::to_string(options.simulation->corner) +
                            ": expected 1 to 9");
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
  HtpConfigs configs(htp, name);
  const bool cpu = context->backend().library().is_qhx_cpu();
  GraphBuilder builder(std::move(context), std::move(name));
  const Qnn_ErrorHandle_t code =
      builder.context_->api().graphCreate(builder.context_->handle(), builder.name_.c_str(),
                                          cpu ? nullptr : configs.list(), &builder.handle_);
  QHX_RETURN_IF_ERROR(check(code, "graphCreate " + builder.name_));
  return builder;
}

void GraphBuilder::fail(Status status) {
  if (status_.ok()) status_ = std::move(status).with_context("graph " + name_);
}

Value GraphBuilder::create_tensor(Qnn_Tensor_t tensor, std::string name, Qnn_DataType_t type,
                                  Dims dims, const Encoding& encoding) {
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

Value GraphBuilder::native(Qnn_DataType_t type, Dims dims, const Encoding& encoding) {
  return create_tensor(describe(QNN_TENSOR_TYPE_NATIVE), "t" + std::to_string(next_name_++), type,
                       std::move(dims), encoding);
}

Value GraphBuilder::constant(std::string name, Qnn_DataType_t type, Dims dims,
                             std::span<const std::byte> bytes, const Encoding& encoding) {
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
  const auto weight = std::find_if(inputs.begin(), inputs.end(), [&](const Value& value) {
    return tensors_[value.index]->tensor.v1.type == QNN_TENSOR_TYPE_STATIC;
  });
  operations_.push_back(
      {name, op_type, part_, weight == inputs.end() ? "" : tensors_[weight->index]->name});
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
  return Graph(std::move(context_), handle_, std::move(info), std::move(operations_));
}

}  // namespace qhx::qnn
