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
// device and context that is created. Memory is mapped if the fake libcdsprpc.so is loaded; what is
// counted and where it fails stands in fake_device.h.
#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "fakes/fake_device.h"
#include "qnn/abi/qnn_types.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT FakeDevice fake_device;
FakeDevice fake_device;

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

// ---- Memory ----

struct Registration {
  std::tuple<Qnn_ContextHandle_t, int, std::vector<std::uint32_t>, Qnn_DataType_t> key;
  std::byte* data;
};
std::mutex registrations_mutex;
std::set<Registration*> registrations;

FakeMemory* shared_memory() {
  return static_cast<FakeMemory*>(::dlsym(RTLD_DEFAULT, "fake_memory"));
}

Qnn_ErrorHandle_t mem_register(Qnn_ContextHandle_t context, const Qnn_MemDescriptor_t* descriptor,
                               std::uint32_t count, Qnn_MemHandle_t* handle) {
  FakeMemory* memory = shared_memory();
  if (memory == nullptr) return QNN_COMMON_ERROR_NOT_SUPPORTED;
  const std::lock_guard<std::mutex> lock(registrations_mutex);
  const int call = fake_device.registrations + fake_device.refused + 1;
  if (fake_device.fail_registration == -1 || fake_device.fail_registration == call) {
    ++fake_device.refused;
    return fake_device.registration_error;
  }
  if (count != 1 || descriptor->memType != QNN_MEM_TYPE_ION)
    return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  const Qnn_MemShape_t& shape = descriptor->memShape;
  auto registration = std::make_unique<Registration>();
  registration->key = {context, descriptor->ionInfo.fd,
                       std::vector<std::uint32_t>(shape.dimSize, shape.dimSize + shape.numDim),
                       descriptor->dataType};
  registration->data = memory->map(descriptor->ionInfo.fd);
  if (registration->data == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  for (const Registration* other : registrations)
    fake_device.repeated += other->key == registration->key ? 1 : 0;
  ++fake_device.registrations;
  registrations.insert(registration.get());
  *handle = registration.release();
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t mem_deregister(const Qnn_MemHandle_t* handles, std::uint32_t count) {
  const std::lock_guard<std::mutex> lock(registrations_mutex);
  for (std::uint32_t i = 0; i < count; ++i) {
    auto* registration = static_cast<Registration*>(handles[i]);
    if (registrations.erase(registration) == 0) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    shared_memory()->unmap(std::get<1>(registration->key));
    delete registration;
    ++fake_device.deregistrations;
  }
  return QNN_SUCCESS;
}

// The memory of an execution's tensor; null for a handle that is none of the graph's.
std::byte* memory_of(const Qnn_TensorV1_t& tensor) {
  const std::lock_guard<std::mutex> lock(registrations_mutex);
  if (tensor.memType != QNN_TENSORMEMTYPE_MEMHANDLE) {
    ++fake_device.copied_tensors;
    return static_cast<std::byte*>(tensor.clientBuf.data);
  }
  auto* registration = static_cast<Registration*>(tensor.memHandle);
  if (!registrations.contains(registration) ||
      std::get<2>(registration->key) !=
          std::vector<std::uint32_t>(tensor.dimensions, tensor.dimensions + tensor.rank)) {
    ++fake_device.stale_handles;
    return nullptr;
  }
  ++fake_device.mapped_tensors;
  return registration->data;
}

std::size_t bytes_of(const Qnn_TensorV1_t& tensor) {
  std::size_t bytes = tensor.dataType == QNN_DATATYPE_FLOAT_16 ? 2 : 4;
  for (std::uint32_t i = 0; i < tensor.rank; ++i) bytes *= tensor.dimensions[i];
  return bytes;
}

Qnn_ErrorHandle_t graph_execute(Qnn_GraphHandle_t, const Qnn_Tensor_t* inputs,
                                std::uint32_t input_count, Qnn_Tensor_t* outputs,
                                std::uint32_t count, Qnn_ProfileHandle_t, Qnn_SignalHandle_t) {
  if (++fake_device.executions == fake_device.fail_execution) return QNN_GRAPH_ERROR_INVALID_HANDLE;
  for (std::uint32_t i = 0; i < input_count; ++i) {
    if (memory_of(inputs[i].v1) == nullptr) return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    std::byte* data = memory_of(outputs[i].v1);
    if (data == nullptr) return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    std::memset(data, 0, bytes_of(outputs[i].v1));
  }
  return QNN_SUCCESS;
}

// ---- Performance votes ----

constexpr std::uint32_t kPowerConfigId = 4711;

Qnn_ErrorHandle_t create_power_config(std::uint32_t, std::uint32_t, std::uint32_t* id) {
  fake_device.vote('c');
  *id = kPowerConfigId;
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t destroy_power_config(std::uint32_t id) {
  fake_device.vote(id == kPowerConfigId ? 'd' : '?');
  return QNN_SUCCESS;
}
Qnn_ErrorHandle_t set_power_config(std::uint32_t id,
                                   const QnnHtpPerfInfrastructure_PowerConfig_t** configs) {
  const QnnHtpPerfInfrastructure_DcvsV3_t& dcvs = configs[0]->dcvsV3Config;
  const bool known = id == kPowerConfigId && dcvs.contextId == id && configs[1] == nullptr &&
                     configs[0]->option == QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3;
  const bool fast = dcvs.powerMode == QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE &&
                    dcvs.busVoltageCornerMin == DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER &&
                    dcvs.coreVoltageCornerMin == DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER;
  fake_device.vote(!known ? '?' : fast ? 'F' : 'r');
  return fake_device.vote_error;
}

Qnn_ErrorHandle_t get_infrastructure(const void** infrastructure) {
  if (!fake_device.infrastructure) return QNN_COMMON_ERROR_NOT_SUPPORTED;
  static const QnnHtpDevice_Infrastructure_t kInfrastructure = {
      QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF,
      {create_power_config, destroy_power_config, set_power_config, nullptr}};
  *infrastructure = &kInfrastructure;
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
    table.memRegister = mem_register;
    table.memDeRegister = mem_deregister;
    table.deviceGetInfrastructure = get_infrastructure;
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
