// Slots around the backend: versions, options, log, device, error texts, the list of ops.
#include <charconv>
#include <cstdlib>
#include <string>
#include <vector>

#include "abi/convert.h"
#include "abi/entry.h"
#include "abi/guard.h"
#include "abi/handles.h"
#include "graph/verify.h"
#include "kernels/kernels.h"
#include "ops/op.h"

namespace qhx::cpu::abi {
namespace {

// ---- Options ----

constexpr int kMostThreads = 1024;
constexpr const char* kThreadsVariable = "QHX_CPU_THREADS";
constexpr const char* kActivationsVariable = "QHX_CPU_ACTIVATIONS";

struct Options {
  int threads = 0;  // 0: as many as the process may use
  std::string target;
  bool fuse = true;
  Activations activations = Activations::kAuto;
};

Result<int> parse_number(std::string_view text, int most, std::string_view what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most) {
    return invalid_argument(std::string(what) + ": expected a number from 0 to " +
                            std::to_string(most) + ", found '" + std::string(text) + "'");
  }
  return value;
}

Status apply_option(std::string_view option, Options& options) {
  const std::size_t colon = option.find(':');
  const std::string_view key = option.substr(0, colon);
  const std::string_view value =
      colon == std::string_view::npos ? std::string_view() : option.substr(colon + 1);
  if (key == "qhx.threads") {
    QHX_ASSIGN_OR_RETURN(options.threads, parse_number(value, kMostThreads, key));
  } else if (key == "qhx.target") {
    options.target = value;
  } else if (key == "qhx.fuse") {
    QHX_ASSIGN_OR_RETURN(const int fuse, parse_number(value, 1, key));
    options.fuse = fuse != 0;
  } else if (key == "qhx.activations") {
    QHX_ASSIGN_OR_RETURN(options.activations, parse_activations(value, key));
  } else if (key.starts_with("qhx.")) {
    return invalid_argument("unknown option '" + std::string(key) +
                            "': known are qhx.threads, qhx.target, qhx.fuse, qhx.activations");
  }
  return {};  // options of other backends
}

Result<Options> read_options(const QnnBackend_Config_t** configs) {
  Options options;
  if (const char* threads = std::getenv(kThreadsVariable); threads != nullptr && *threads != '\0') {
    QHX_ASSIGN_OR_RETURN(options.threads, parse_number(threads, kMostThreads, kThreadsVariable));
  }
  if (const char* form = std::getenv(kActivationsVariable); form != nullptr && *form != '\0') {
    QHX_ASSIGN_OR_RETURN(options.activations, parse_activations(form, kActivationsVariable));
  }
  for (; configs != nullptr && *configs != nullptr; ++configs) {
    if ((*configs)->option == QNN_BACKEND_CONFIG_OPTION_CUSTOM) {
      return invalid_argument("the CPU backend has no custom backend config");
    }
    if ((*configs)->option != QNN_BACKEND_CONFIG_OPTION_PLATFORM) continue;
    if ((*configs)->platformOption == nullptr) return invalid_argument("a platform option is null");
    QHX_RETURN_IF_ERROR(apply_option((*configs)->platformOption, options));
  }
  return options;
}

Result<std::shared_ptr<Engine>> make_engine(const QnnBackend_Config_t** configs) {
  QHX_ASSIGN_OR_RETURN(const Options options, read_options(configs));
  const KernelTable* kernels = nullptr;
  if (options.target.empty()) {
    QHX_ASSIGN_OR_RETURN(kernels, select_kernels());
  } else {
    QHX_ASSIGN_OR_RETURN(kernels, kernels_named(options.target));
  }
  return std::make_shared<Engine>(options.threads, kernels, options.fuse, options.activations);
}

// ---- Slots ----

Qnn_ErrorHandle_t backend_create(Qnn_LogHandle_t log, const QnnBackend_Config_t** configs,
                                 Qnn_BackendHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const SharedLogger logger = logger_of(log);
    Result<std::shared_ptr<Engine>> engine = make_engine(configs);
    if (!engine.ok()) {
      logger->error("backendCreate: " + engine.status().message());
      return QNN_BACKEND_ERROR_CANNOT_INITIALIZE;
    }
    logger->log(QNN_LOG_LEVEL_INFO, std::string("CPU backend: target ") + (*engine)->kernels->name +
                                        ", " + std::to_string((*engine)->pool.size()) + " threads");
    *handle = tables().backends.add(std::make_shared<Backend>(Backend{*engine, logger}));
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t backend_free(Qnn_BackendHandle_t handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    return tables().backends.remove(handle) != nullptr ? QNN_SUCCESS : kInvalidHandle;
  });
}

Qnn_ErrorHandle_t get_api_version(Qnn_ApiVersion_t* version) noexcept {
  if (version == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  *version = {kCoreApiVersion, kBackendApiVersion};
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t get_build_id(const char** id) noexcept {
  if (id == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  *id = kBuildId;
  return QNN_SUCCESS;
}

const std::vector<QnnBackend_OperationName_t>& operation_names() {
  static const std::vector<QnnBackend_OperationName_t> kNames = [] {
    std::vector<QnnBackend_OperationName_t> names;
    // The names are literals of the registry, so they end with a zero.
    for (const std::string_view op : public_ops())
      names.push_back({"qti.aisw", op.data(), nullptr});
    return names;
  }();
  return kNames;
}

Qnn_ErrorHandle_t get_supported_operations(Qnn_BackendHandle_t handle, std::uint32_t* count,
                                           const QnnBackend_OperationName_t** names) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (count == nullptr || names == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    if (tables().backends.find(handle) == nullptr) return kInvalidHandle;
    *count = static_cast<std::uint32_t>(operation_names().size());
    *names = operation_names().data();
    return QNN_SUCCESS;
  });
}

// An op config as a graph of its own, made of descriptions only.
Status validate(const Qnn_OpConfig_t& config) {
  QHX_ASSIGN_OR_RETURN(const OpConfig op, op_config_from(config));
  const OpDefinition* definition = find_op(op.type);
  if (definition == nullptr || is_internal(op.type)) {
    return invalid_argument("op '" + op.name + "': unknown operation '" + op.type + "'");
  }
  Node node{.name = op.name, .type = op.type, .attributes = {}, .inputs = {}, .outputs = {}};
  Result<Attributes> attributes = attributes_from(op.params, nullptr);
  if (!attributes.ok()) return attributes.status().with_context(op.type + " '" + op.name + "'");
  node.attributes = std::move(attributes).value();
  Graph graph;
  const auto add = [&](const Qnn_Tensor_t& tensor, std::vector<int>& list) -> Status {
    if (tensor.v1.type == QNN_TENSOR_TYPE_NULL) {
      list.push_back(-1);
      return {};
    }
    Result<Tensor> described = tensor_from(tensor);
    if (!described.ok()) return described.status().with_context(op.type + " '" + op.name + "'");
    list.push_back(static_cast<int>(graph.tensors.size()));
    graph.tensors.push_back(std::move(described).value());
    return {};
  };
  for (const Qnn_Tensor_t& tensor : op.inputs) QHX_RETURN_IF_ERROR(add(tensor, node.inputs));
  for (const Qnn_Tensor_t& tensor : op.outputs) {
    if (tensor.v1.type == QNN_TENSOR_TYPE_NULL)
      return invalid_argument("op '" + op.name + "': an output is missing");
    QHX_RETURN_IF_ERROR(add(tensor, node.outputs));
  }
  return definition->check(view_of(graph, node));
}

Qnn_ErrorHandle_t validate_op_config(Qnn_BackendHandle_t handle, Qnn_OpConfig_t config) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<Backend> backend = tables().backends.find(handle);
    if (backend == nullptr) return kInvalidHandle;
    const Status status = validate(config);
    if (status.ok()) return QNN_SUCCESS;
    backend->logger->error(status.message());
    return QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE;
  });
}

Qnn_ErrorHandle_t device_create(Qnn_LogHandle_t log, const QnnDevice_Config_t** configs,
                                Qnn_DeviceHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    if (configs != nullptr && *configs != nullptr) {
      logger_of(log)->error("deviceCreate: the CPU backend takes no device config, found option " +
                            std::to_string((*configs)->option));
      return QNN_DEVICE_ERROR_INVALID_CONFIG;
    }
    *handle = tables().devices.add(std::make_shared<Device>());
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t device_free(Qnn_DeviceHandle_t handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    return tables().devices.remove(handle) != nullptr ? QNN_SUCCESS : kInvalidHandle;
  });
}

Qnn_ErrorHandle_t error_get_message(Qnn_ErrorHandle_t error, const char** message) noexcept {
  if (message == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  *message = error_message(error);
  return *message != nullptr ? QNN_SUCCESS : QNN_COMMON_ERROR_INVALID_ARGUMENT;
}

}  // namespace

Qnn_ErrorHandle_t log_create(QnnLog_Callback_t callback, QnnLog_Level_t level,
                             Qnn_LogHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    *handle = tables().logs.add(std::make_shared<Logger>(callback, level));
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t log_set_level(Qnn_LogHandle_t handle, QnnLog_Level_t level) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const SharedLogger logger = tables().logs.find(handle);
    if (logger == nullptr) return kInvalidHandle;
    logger->set_level(level);
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t log_free(Qnn_LogHandle_t handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    return tables().logs.remove(handle) != nullptr ? QNN_SUCCESS : kInvalidHandle;
  });
}

void fill_backend_slots(QnnInterface_ImplementationV2_t& table) {
  table.backendCreate = backend_create;
  table.backendFree = backend_free;
  table.backendGetApiVersion = get_api_version;
  table.backendGetBuildId = get_build_id;
  table.backendGetSupportedOperations = get_supported_operations;
  table.backendValidateOpConfig = validate_op_config;
  table.logCreate = log_create;
  table.logSetLogLevel = log_set_level;
  table.logFree = log_free;
  table.deviceCreate = device_create;
  table.deviceFree = device_free;
  table.errorGetMessage = error_get_message;
}

}  // namespace qhx::cpu::abi
