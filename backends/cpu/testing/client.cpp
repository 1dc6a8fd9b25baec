#include "testing/client.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/f16.h"

namespace qhx::cpu::testing {
namespace {

template <typename Provider>
const Provider& provider(const char* symbol) {
  void* library = dlopen(QHX_CPU_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  using Get = Qnn_ErrorHandle_t (*)(const Provider***, std::uint32_t*);
  const auto get = reinterpret_cast<Get>(dlsym(library, symbol));
  const Provider** providers = nullptr;
  std::uint32_t count = 0;
  if (get == nullptr || get(&providers, &count) != 0 || count != 1) std::abort();
  return *providers[0];
}

std::mutex& log_mutex() {
  static std::mutex mutex;
  return mutex;
}
std::string& log_text() {
  static std::string text;
  return text;
}

void keep_log(const char* format, QnnLog_Level_t, std::uint64_t, std::va_list arguments) {
  char line[2048];
  std::vsnprintf(line, sizeof(line), format, arguments);
  const std::lock_guard lock(log_mutex());
  log_text() += std::string(line) + "\n";
}

std::size_t element_size(Qnn_DataType_t type) {
  switch (type) {
    case QNN_DATATYPE_FLOAT_16:
      return 2;
    case QNN_DATATYPE_INT_8:
    case QNN_DATATYPE_BOOL_8:
    case QNN_DATATYPE_SFIXED_POINT_8:
    case QNN_DATATYPE_UFIXED_POINT_8:
      return 1;
    default:
      return 4;
  }
}

}  // namespace

// ---- Client ----

Client::Client(std::vector<std::string> platform_options) {
  api().logCreate(&keep_log, QNN_LOG_LEVEL_INFO, &log_);
  std::vector<QnnBackend_Config_t> configs(platform_options.size());
  std::vector<const QnnBackend_Config_t*> list;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    configs[i].option = QNN_BACKEND_CONFIG_OPTION_PLATFORM;
    configs[i].platformOption = platform_options[i].c_str();
    list.push_back(&configs[i]);
  }
  list.push_back(nullptr);
  create_error_ = api().backendCreate(log_, list.data(), &backend_);
}

Client::~Client() {
  for (Qnn_ContextHandle_t context : contexts_) api().contextFree(context, nullptr);
  if (backend_ != nullptr) api().backendFree(backend_);
  api().logFree(log_);
}

const QnnInterface_ImplementationV2_t& Client::api() {
  static const auto& kApi = provider<QnnInterface_t>("QnnInterface_getProviders").v2;
  return kApi;
}

const QnnSystemInterface_ImplementationV1_t& Client::system_api() {
  static const auto& kApi = provider<QnnSystemInterface_t>("QnnSystemInterface_getProviders").v1;
  return kApi;
}

std::string Client::take_log() {
  const std::lock_guard lock(log_mutex());
  return std::exchange(log_text(), {});
}

Qnn_ContextHandle_t Client::new_context() {
  Qnn_ContextHandle_t context = nullptr;
  if (api().contextCreate(backend_, nullptr, nullptr, &context) != 0) std::abort();
  contexts_.push_back(context);
  return context;
}

Qnn_ErrorHandle_t Client::load(const std::vector<std::byte>& binary, bool in_place,
                               Qnn_ContextHandle_t& context) {
  QnnContext_Config_t config{};
  config.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  config.isPersistentBinary = in_place ? 1 : 0;
  const QnnContext_Config_t* configs[] = {&config, nullptr};
  const Qnn_ErrorHandle_t error = api().contextCreateFromBinary(
      backend_, nullptr, configs, binary.data(), binary.size(), &context, nullptr);
  if (error == 0) contexts_.push_back(context);
  return error;
}

std::vector<std::byte> Client::binary_of(Qnn_ContextHandle_t context) const {
  Qnn_ContextBinarySize_t size = 0, written = 0;
  if (api().contextGetBinarySize(context, &size) != 0) return {};
  std::vector<std::byte> binary(size);
  if (api().contextGetBinary(context, binary.data(), size, &written) != 0 || written != size)
    return {};
  return binary;
}

// ---- Params ----

Param integer(std::string name, std::int64_t value) {
  return {.name = std::move(name), .integers = {value}};
}
Param boolean(std::string name, bool value) {
  return {.name = std::move(name), .integers = {value}, .kind = Param::Kind::kBool};
}
Param number(std::string name, double value) {
  return {.name = std::move(name), .number = value, .kind = Param::Kind::kFloat};
}
Param list(std::string name, std::vector<std::int64_t> values, Dims dims) {
  return {.name = std::move(name),
          .integers = std::move(values),
          .kind = Param::Kind::kUnsignedList,
          .dims = std::move(dims)};
}
Param signed_list(std::string name, std::vector<std::int64_t> values, Dims dims) {
  return {.name = std::move(name),
          .integers = std::move(values),
          .kind = Param::Kind::kSignedList,
          .dims = std::move(dims)};
}

// ---- Graph ----

Graph::Graph(Qnn_ContextHandle_t context, const std::string& name) {
  error_ = Client::api().graphCreate(context, name.c_str(), nullptr, &handle_);
}

Graph::Entry& Graph::new_entry(const std::string& name, Dims dims, Qnn_TensorType_t role,
                               Qnn_DataType_t type) {
  Entry& entry = entries_.emplace_back();
  entry.name = name.empty() ? "t" + std::to_string(entries_.size()) : name;
  entry.dims = std::move(dims);
  Qnn_Tensor_t& t = entry.tensor;
  t.version = QNN_TENSOR_VERSION_1;
  t.v1.name = entry.name.c_str();
  t.v1.type = role;
  t.v1.dataType = type;
  t.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
  t.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
  t.v1.rank = static_cast<std::uint32_t>(entry.dims.size());
  t.v1.dimensions = entry.dims.data();
  return entry;
}

Graph::Id Graph::create(Entry& entry) {
  entry.tensor.v1.clientBuf = {entry.bytes.data(), static_cast<std::uint32_t>(entry.bytes.size())};
  const Qnn_ErrorHandle_t error = Client::api().tensorCreateGraphTensor(handle_, &entry.tensor);
  if (error_ == 0) error_ = error;
  return entries_.size() - 1;
}

Graph::Id Graph::input(const std::string& name, Dims dims, Qnn_DataType_t type) {
  return create(new_entry(name, std::move(dims), QNN_TENSOR_TYPE_APP_WRITE, type));
}
Graph::Id Graph::output(const std::string& name, Dims dims, Qnn_DataType_t type) {
  return create(new_entry(name, std::move(dims), QNN_TENSOR_TYPE_APP_READ, type));
}
Graph::Id Graph::native(Dims dims, Qnn_DataType_t type) {
  return create(new_entry("", std::move(dims), QNN_TENSOR_TYPE_NATIVE, type));
}
Graph::Id Graph::constant(Dims dims, const Values& values, Qnn_DataType_t type) {
  Entry& entry = new_entry("", std::move(dims), QNN_TENSOR_TYPE_STATIC, type);
  entry.bytes = to_bytes(values, type);
  return create(entry);
}
Graph::Id Graph::absent() {
  new_entry("", {1}, QNN_TENSOR_TYPE_NULL, QNN_DATATYPE_FLOAT_32);
  return entries_.size() - 1;
}

Graph::Id Graph::weight(const Weight& weight) {
  Entry& entry = new_entry("", weight.dims, QNN_TENSOR_TYPE_STATIC, QNN_DATATYPE_SFIXED_POINT_8);
  entry.bytes.resize(weight.values.size());
  std::memcpy(entry.bytes.data(), weight.values.data(), weight.values.size());
  entry.scales = weight.scales;
  entry.offsets = weight.offsets;
  entry.block = weight.block;
  for (std::size_t i = 0; i < weight.scales.size(); ++i) {
    entry.scale_offsets.push_back(
        {weight.scales[i], weight.offsets.empty() ? 0 : weight.offsets[i]});
  }
  Qnn_QuantizeParams_t& q = entry.tensor.v1.quantizeParams;
  q.encodingDefinition = QNN_DEFINITION_DEFINED;
  q.quantizationEncoding = weight.encoding;
  const auto count = static_cast<std::uint32_t>(weight.scales.size());
  switch (weight.encoding) {
    case QNN_QUANTIZATION_ENCODING_SCALE_OFFSET:
      q.scaleOffsetEncoding = entry.scale_offsets[0];
      break;
    case QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET:
      q.axisScaleOffsetEncoding = {weight.axis, count, entry.scale_offsets.data()};
      break;
    case QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET:
      q.bwAxisScaleOffsetEncoding = {4, weight.axis, count, entry.scales.data(),
                                     entry.offsets.empty() ? nullptr : entry.offsets.data()};
      break;
    default:
      q.blockEncoding = {entry.block.data(), entry.scale_offsets.data()};
      break;
  }
  return create(entry);
}

template <typename Use>
Qnn_ErrorHandle_t Graph::with_config(const std::string& type, const std::vector<Id>& inputs,
                                     const std::vector<Id>& outputs,
                                     const std::vector<Param>& params, Use&& use) {
  std::vector<Qnn_Tensor_t> in, out;
  for (const Id id : inputs) in.push_back(entries_[id].tensor);
  for (const Id id : outputs) out.push_back(entries_[id].tensor);
  std::vector<Qnn_Param_t> list(params.size());
  std::deque<std::vector<std::int32_t>> words;
  std::deque<Dims> dims;
  for (std::size_t i = 0; i < params.size(); ++i) {
    const Param& param = params[i];
    Qnn_Param_t& to = list[i];
    to.name = param.name.c_str();
    to.paramType = QNN_PARAMTYPE_SCALAR;
    switch (param.kind) {
      case Param::Kind::kInteger:
        to.scalarParam.dataType = QNN_DATATYPE_UINT_32;
        to.scalarParam.uint32Value = static_cast<std::uint32_t>(param.integers[0]);
        continue;
      case Param::Kind::kBool:
        to.scalarParam.dataType = QNN_DATATYPE_BOOL_8;
        to.scalarParam.bool8Value = param.integers[0] != 0;
        continue;
      case Param::Kind::kFloat:
        to.scalarParam.dataType = QNN_DATATYPE_FLOAT_32;
        to.scalarParam.floatValue = static_cast<float>(param.number);
        continue;
      default:
        break;
    }
    to.paramType = QNN_PARAMTYPE_TENSOR;
    words.emplace_back(param.integers.begin(), param.integers.end());
    dims.push_back(param.dims.empty() ? Dims{static_cast<std::uint32_t>(param.integers.size())}
                                      : param.dims);
    Qnn_Tensor_t& t = to.tensorParam;
    t = {};
    t.version = QNN_TENSOR_VERSION_1;
    t.v1.name = to.name;
    t.v1.type = QNN_TENSOR_TYPE_STATIC;
    t.v1.dataType =
        param.kind == Param::Kind::kSignedList ? QNN_DATATYPE_INT_32 : QNN_DATATYPE_UINT_32;
    t.v1.rank = static_cast<std::uint32_t>(dims.back().size());
    t.v1.dimensions = dims.back().data();
    t.v1.clientBuf = {words.back().data(), static_cast<std::uint32_t>(words.back().size() * 4)};
  }
  Qnn_OpConfig_t config{};
  config.version = QNN_OPCONFIG_VERSION_1;
  const std::string name = type + "_" + std::to_string(nodes_);
  config.v1 = {.name = name.c_str(),
               .packageName = "qti.aisw",
               .typeName = type.c_str(),
               .numOfParams = static_cast<std::uint32_t>(list.size()),
               .params = list.data(),
               .numOfInputs = static_cast<std::uint32_t>(in.size()),
               .inputTensors = in.data(),
               .numOfOutputs = static_cast<std::uint32_t>(out.size()),
               .outputTensors = out.data()};
  return use(config);
}

void Graph::op(const std::string& type, std::vector<Id> inputs, std::vector<Id> outputs,
               std::vector<Param> params) {
  const Qnn_ErrorHandle_t error =
      add(type, std::move(inputs), std::move(outputs), std::move(params));
  if (error_ == 0) error_ = error;
}

Qnn_ErrorHandle_t Graph::validate(Client& client, const std::string& type, std::vector<Id> inputs,
                                  std::vector<Id> outputs, std::vector<Param> params) {
  return with_config(type, inputs, outputs, params, [&](const Qnn_OpConfig_t& config) {
    return Client::api().backendValidateOpConfig(client.backend(), config);
  });
}

Qnn_ErrorHandle_t Graph::add(const std::string& type, std::vector<Id> inputs,
                             std::vector<Id> outputs, std::vector<Param> params) {
  const Qnn_ErrorHandle_t error = with_config(
      type, inputs, outputs, params,
      [&](const Qnn_OpConfig_t& config) { return Client::api().graphAddNode(handle_, config); });
  ++nodes_;
  return error;
}

Qnn_ErrorHandle_t Graph::finalize() {
  if (error_ == 0) error_ = Client::api().graphFinalize(handle_, nullptr, nullptr);
  return error_;
}

// ---- Executor ----

Executor::Executor(Qnn_GraphHandle_t graph, std::vector<Edge> inputs, std::vector<Edge> outputs)
    : graph_(graph), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  for (const auto* edges : {&inputs_, &outputs_}) {
    for (const Edge& edge : *edges)
      buffers_[edge.name].resize(count_of(edge.dims) * element_size(edge.type));
  }
}

std::vector<Qnn_Tensor_t> Executor::tensors_of(std::vector<Edge>& edges) {
  std::vector<Qnn_Tensor_t> tensors;
  for (Edge& edge : edges) {
    Qnn_Tensor_t& t = tensors.emplace_back();
    t = {};
    t.version = QNN_TENSOR_VERSION_1;
    t.v1.name = edge.name.c_str();
    t.v1.dataType = edge.type;
    t.v1.rank = static_cast<std::uint32_t>(edge.dims.size());
    t.v1.dimensions = edge.dims.data();
    std::vector<std::byte>& buffer = buffers_[edge.name];
    t.v1.clientBuf = {buffer.data(), static_cast<std::uint32_t>(buffer.size())};
  }
  return tensors;
}

void Executor::set(const std::string& name, const Values& values) {
  for (const Edge& edge : inputs_) {
    if (edge.name == name) buffers_[name] = to_bytes(values, edge.type);
  }
}

Values Executor::get(const std::string& name) const {
  for (const Edge& edge : outputs_) {
    if (edge.name == name) return from_bytes(buffers_.at(name), edge.type);
  }
  return {};
}

Qnn_ErrorHandle_t Executor::run(Qnn_ProfileHandle_t profile) {
  std::vector<Qnn_Tensor_t> in = tensors_of(inputs_), out = tensors_of(outputs_);
  return Client::api().graphExecute(graph_, in.data(), static_cast<std::uint32_t>(in.size()),
                                    out.data(), static_cast<std::uint32_t>(out.size()), profile,
                                    nullptr);
}

// ---- Values ----

std::vector<std::byte> to_bytes(const Values& values, Qnn_DataType_t type) {
  std::vector<std::byte> bytes(values.size() * element_size(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::byte* at = bytes.data() + i * element_size(type);
    if (type == QNN_DATATYPE_FLOAT_16) {
      const std::uint16_t half = f32_to_f16(values[i]);
      std::memcpy(at, &half, 2);
    } else if (type == QNN_DATATYPE_FLOAT_32) {
      std::memcpy(at, &values[i], 4);
    } else if (type == QNN_DATATYPE_INT_8) {
      *at = static_cast<std::byte>(static_cast<std::int8_t>(values[i]));
    } else if (type == QNN_DATATYPE_BOOL_8) {
      *at = static_cast<std::byte>(values[i] != 0);
    } else {
      const auto word = static_cast<std::int32_t>(values[i]);
      std::memcpy(at, &word, 4);
    }
  }
  return bytes;
}

Values from_bytes(const std::vector<std::byte>& bytes, Qnn_DataType_t type) {
  Values values(bytes.size() / element_size(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::byte* at = bytes.data() + i * element_size(type);
    if (type == QNN_DATATYPE_FLOAT_16) {
      std::uint16_t half = 0;
      std::memcpy(&half, at, 2);
      values[i] = f16_to_f32(half);
    } else if (type == QNN_DATATYPE_FLOAT_32) {
      std::memcpy(&values[i], at, 4);
    } else if (type == QNN_DATATYPE_INT_8) {
      values[i] = static_cast<float>(static_cast<std::int8_t>(*at));
    } else if (type == QNN_DATATYPE_BOOL_8) {
      values[i] = static_cast<float>(*at);
    } else {
      std::int32_t word = 0;
      std::memcpy(&word, at, 4);
      values[i] = static_cast<float>(word);
    }
  }
  return values;
}

std::size_t count_of(const Dims& dims) {
  std::size_t count = 1;
  for (const std::uint32_t dim : dims) count *= dim;
  return count;
}

}  // namespace qhx::cpu::testing
