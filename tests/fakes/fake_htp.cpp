// A QNN library that claims to be an HTP one: core and system interface in one file, for tests of
// what happens before and when a bundle is loaded. Its "binaries" are text: a first line FAKEHTP,
// then JSON up to a zero byte or the end:
//
//   {"build": "v2.51.0.1", "arch": 79, "soc": 69, "shared": bytes of weights that the graphs share,
//    "graphs": [as `qhx inspect --json` prints them]}
//
// Graphs execute to zeros. The environment decides the rest: FAKE_HTP_BUILD is the library's build,
// FAKE_HTP_BACKEND_ERROR and FAKE_HTP_DEVICE_ERROR are codes to fail with, FAKE_HTP_SOC and
// FAKE_HTP_ARCH the chip under it, and to the file FAKE_HTP_LOG goes a line for each backend,
// device and context that is created.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qnn/abi/qnn_types.h"

namespace {

constexpr std::uint32_t kHtpBackendId = 6;

std::string setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}
std::uint32_t number(const char* name) {
  return static_cast<std::uint32_t>(std::atoi(setting(name, "0").c_str()));
}
Qnn_ErrorHandle_t error_of(const char* name) { return number(name); }

void record(const std::string& line) {
  const std::string file = setting("FAKE_HTP_LOG", "");
  if (file.empty()) return;
  if (std::FILE* out = std::fopen(file.c_str(), "a")) {
    std::fprintf(out, "%s\n", line.c_str());
    std::fclose(out);
  }
}

// ---- Binaries ----

Qnn_DataType_t type_of(const std::string& name) {
  if (name == "FLOAT_32") return QNN_DATATYPE_FLOAT_32;
  if (name == "INT_32") return QNN_DATATYPE_INT_32;
  return QNN_DATATYPE_FLOAT_16;
}

struct FakeGraph {
  std::string name;
  std::deque<std::string> names;
  std::deque<std::vector<std::uint32_t>> dims;
  std::vector<Qnn_Tensor_t> inputs, outputs;
  QhxHtp_GraphBlobInfo2_51_t blob{};

  void add(const nlohmann::json& list, Qnn_TensorType_t kind, std::vector<Qnn_Tensor_t>& to) {
    for (const auto& item : list) {
      names.push_back(item.at("name"));
      dims.push_back(item.at("dims").get<std::vector<std::uint32_t>>());
      Qnn_Tensor_t tensor{};
      tensor.version = QNN_TENSOR_VERSION_1;
      tensor.v1.name = names.back().c_str();
      tensor.v1.type = kind;
      tensor.v1.dataType = type_of(item.at("type"));
      tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
      tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
      tensor.v1.rank = static_cast<std::uint32_t>(dims.back().size());
      tensor.v1.dimensions = dims.back().data();
      to.push_back(tensor);
    }
  }
};

struct FakeBinary {
  std::string build;
  std::deque<FakeGraph> graphs;
  std::vector<QnnSystemContext_GraphInfo_t> infos;
  QnnHtpSystemContext_ContextMetadataV1_t metadata{1, 0};
  QnnSystemContext_BinaryInfo_t info{};
};

std::unique_ptr<FakeBinary> parse(const void* data, std::uint64_t size) {
  constexpr std::string_view kFirstLine = "FAKEHTP\n";
  const std::string_view bytes(static_cast<const char*>(data), size);
  if (!bytes.starts_with(kFirstLine)) return nullptr;
  std::string_view text = bytes.substr(kFirstLine.size(), std::size_t{1} << 22);
  text = text.substr(0, text.find('\0'));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return nullptr;
  auto binary = std::make_unique<FakeBinary>();
  binary->build = json.value("build", "");
  binary->metadata.dspArch = json.value("arch", 0u);
  for (const auto& item : json.value("graphs", nlohmann::json::array())) {
    FakeGraph& graph = binary->graphs.emplace_back();
    graph.name = item.at("name");
    graph.add(item.at("inputs"), QNN_TENSOR_TYPE_APP_WRITE, graph.inputs);
    graph.add(item.at("outputs"), QNN_TENSOR_TYPE_APP_READ, graph.outputs);
    graph.blob.v1 = {1, 0, 8 << 20, 3, 1, 4};
    graph.blob.sharedWeightsSize = json.value("shared", std::uint64_t{0});
    graph.blob.ownWeightsSize = graph.blob.sharedWeightsSize == 0 ? 1000 : 0;
    QnnSystemContext_GraphInfo_t info{};
    info.version = QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3;
    info.graphInfoV3.graphName = graph.name.c_str();
    info.graphInfoV3.numGraphInputs = static_cast<std::uint32_t>(graph.inputs.size());
    info.graphInfoV3.graphInputs = graph.inputs.data();
    info.graphInfoV3.numGraphOutputs = static_cast<std::uint32_t>(graph.outputs.size());
    info.graphInfoV3.graphOutputs = graph.outputs.data();
    info.graphInfoV3.graphBlobInfo = &graph.blob;
    info.graphInfoV3.graphBlobInfoSize = sizeof graph.blob;
    binary->infos.push_back(info);
  }
  binary->info.version = QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3;
  QnnSystemContext_BinaryInfoV3_t& v3 = binary->info.contextBinaryInfoV3;
  v3.backendId = kHtpBackendId;
  v3.buildId = binary->build.c_str();
  v3.numGraphs = static_cast<std::uint32_t>(binary->infos.size());
  v3.graphs = binary->infos.data();
  v3.contextMetadata = &binary->metadata;
  v3.contextMetadataSize = sizeof binary->metadata;
  v3.socModel = json.value("soc", 0u);
  return binary;
}

// ---- Core interface ----

int some_object;  // what handles that nobody looks into point to

Qnn_ErrorHandle_t make_something(void** handle, const char* error, const char* what) {
  if (const Qnn_ErrorHandle_t code = error_of(error); code != 0) return code;
  record(what);
  *handle = &some_object;
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t log_create(QnnLog_Callback_t, QnnLog_Level_t, Qnn_LogHandle_t* log) {
  *log = &some_object;
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t free_nothing(void*) { return QNN_SUCCESS; }

Qnn_ErrorHandle_t get_build_id(const char** text) {
  static const std::string kBuild = setting("FAKE_HTP_BUILD", "v2.51.0.1");
  *text = kBuild.c_str();
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t backend_create(Qnn_LogHandle_t, const QnnBackend_Config_t**,
                                 Qnn_BackendHandle_t* backend) {
  return make_something(backend, "FAKE_HTP_BACKEND_ERROR", "backend");
}

Qnn_ErrorHandle_t device_create(Qnn_LogHandle_t, const QnnDevice_Config_t** configs,
                                Qnn_DeviceHandle_t* device) {
  std::uint32_t soc = 0;
  if (configs != nullptr && configs[0] != nullptr)
    soc = static_cast<const QnnHtpDevice_CustomConfig_t*>(configs[0]->customConfig)->socModel;
  return make_something(device, "FAKE_HTP_DEVICE_ERROR", ("device " + std::to_string(soc)).c_str());
}

Qnn_ErrorHandle_t get_platform_info(Qnn_LogHandle_t, const QnnDevice_PlatformInfo_t** info) {
  static QnnHtpDevice_DeviceInfoExtension_t extension{};
  extension.socModel = number("FAKE_HTP_SOC");
  extension.arch = number("FAKE_HTP_ARCH");
  static QnnDevice_HardwareDeviceInfo_t device{1, {0, 0, 1, nullptr, &extension}};
  static const QnnDevice_PlatformInfo_t kInfo{1, {1, &device}};
  *info = &kInfo;
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t free_platform_info(Qnn_LogHandle_t, const QnnDevice_PlatformInfo_t*) {
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t context_create_from_binary(Qnn_BackendHandle_t, Qnn_DeviceHandle_t,
                                             const QnnContext_Config_t**, const void* binary,
                                             Qnn_ContextBinarySize_t size,
                                             Qnn_ContextHandle_t* context, Qnn_ProfileHandle_t) {
  auto parsed = parse(binary, size);
  if (parsed == nullptr) return QNN_CONTEXT_ERROR_BINARY_INVALID;
  record("context");
  *context = parsed.release();
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t context_free(Qnn_ContextHandle_t context, Qnn_ProfileHandle_t) {
  delete static_cast<FakeBinary*>(context);
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t graph_retrieve(Qnn_ContextHandle_t context, const char* name,
                                 Qnn_GraphHandle_t* handle) {
  for (FakeGraph& graph : static_cast<FakeBinary*>(context)->graphs) {
    if (graph.name != name) continue;
    *handle = &graph;
    return QNN_SUCCESS;
  }
  return QNN_GRAPH_ERROR_INVALID_NAME;
}

Qnn_ErrorHandle_t graph_execute(Qnn_GraphHandle_t, const Qnn_Tensor_t*, std::uint32_t,
                                Qnn_Tensor_t* outputs, std::uint32_t count, Qnn_ProfileHandle_t,
                                Qnn_SignalHandle_t) {
  for (std::uint32_t i = 0; i < count; ++i)
    std::memset(outputs[i].v1.clientBuf.data, 0, outputs[i].v1.clientBuf.dataSize);
  return QNN_SUCCESS;
}

// ---- System interface ----

struct SystemContext {
  std::unique_ptr<FakeBinary> binary;
};

Qnn_ErrorHandle_t system_create(QnnSystemContext_Handle_t* handle) {
  *handle = new SystemContext;
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t system_free(QnnSystemContext_Handle_t handle) {
  delete static_cast<SystemContext*>(handle);
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t system_get_binary_info(QnnSystemContext_Handle_t handle, void* binary,
                                         std::uint64_t size,
                                         const QnnSystemContext_BinaryInfo_t** info,
                                         Qnn_ContextBinarySize_t*) {
  auto& context = *static_cast<SystemContext*>(handle);
  context.binary = parse(binary, size);
  if (context.binary == nullptr) return QNN_CONTEXT_ERROR_BINARY_INVALID;
  *info = &context.binary->info;
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t not_supported() { return QNN_COMMON_ERROR_NOT_SUPPORTED; }

// Slots that this library does not fill answer "not supported", whatever their arguments.
template <class Table>
Table answering_not_supported() {
  std::array<Qnn_ErrorHandle_t (*)(), sizeof(Table) / sizeof(void*)> slots;
  slots.fill(&not_supported);
  Table table;
  std::memcpy(&table, slots.data(), sizeof table);
  return table;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Qnn_ErrorHandle_t QnnInterface_getProviders(const QnnInterface_t*** providers,
                                                   std::uint32_t* count) {
  static const QnnInterface_t kProvider = [] {
    QnnInterface_t provider{};
    provider.backendId = kHtpBackendId;
    provider.providerName = "FAKE_HTP";
    provider.apiVersion = {{2, 40, 0}, {5, 51, 0}};
    auto& table = provider.v2 = answering_not_supported<QnnInterface_ImplementationV2_t>();
    table.backendGetBuildId = get_build_id;
    table.logCreate = log_create;
    table.logFree = free_nothing;
    table.backendCreate = backend_create;
    table.backendFree = free_nothing;
    table.deviceCreate = device_create;
    table.deviceFree = free_nothing;
    table.deviceGetPlatformInfo = get_platform_info;
    table.deviceFreePlatformInfo = free_platform_info;
    table.contextCreateFromBinary = context_create_from_binary;
    table.contextFree = context_free;
    table.graphRetrieve = graph_retrieve;
    table.graphExecute = graph_execute;
    return provider;
  }();
  static const QnnInterface_t* kProviders[] = {&kProvider};
  *providers = kProviders;
  *count = 1;
  return QNN_SUCCESS;
}

EXPORT Qnn_ErrorHandle_t QnnSystemInterface_getProviders(const QnnSystemInterface_t*** providers,
                                                         std::uint32_t* count) {
  static const QnnSystemInterface_t kProvider = [] {
    QnnSystemInterface_t provider{};
    provider.backendId = kHtpBackendId;
    provider.providerName = "FAKE_SYSTEM";
    provider.systemApiVersion = {1, 15, 0};
    auto& table = provider.v1 = answering_not_supported<QnnSystemInterface_ImplementationV1_t>();
    table.systemContextCreate = system_create;
    table.systemContextFree = system_free;
    table.systemContextGetBinaryInfo = system_get_binary_info;
    return provider;
  }();
  static const QnnSystemInterface_t* kProviders[] = {&kProvider};
  *providers = kProviders;
  *count = 1;
  return QNN_SUCCESS;
}
