// Slots around contexts and their binaries.
#include "abi/entry.h"
#include "abi/guard.h"
#include "abi/handles.h"

namespace qhx::cpu::abi {
namespace {

struct Options {
  bool persistent = false;
  Activations activations = Activations::kAuto;
};

// A custom config is a text "qhx.KEY:VALUE".
Status apply_custom(const void* config, Options& options) {
  if (config == nullptr) return invalid_argument("a custom context config is null");
  const std::string_view text = static_cast<const char*>(config);
  constexpr std::string_view kActivations = "qhx.activations:";
  if (!text.starts_with(kActivations)) {
    return invalid_argument("custom context config '" + std::string(text) +
                            "': expected qhx.activations:FORM");
  }
  QHX_ASSIGN_OR_RETURN(options.activations,
                       parse_activations(text.substr(kActivations.size()), "qhx.activations"));
  return {};
}

Result<Options> read_configs(const QnnContext_Config_t** configs) {
  Options options;
  for (; configs != nullptr && *configs != nullptr; ++configs) {
    if ((*configs)->option == QNN_CONTEXT_CONFIG_OPTION_CUSTOM)
      QHX_RETURN_IF_ERROR(apply_custom((*configs)->customConfig, options));
    if ((*configs)->option == QNN_CONTEXT_CONFIG_PERSISTENT_BINARY)
      options.persistent = (*configs)->isPersistentBinary != 0;
  }
  return options;
}

Qnn_ErrorHandle_t context_create(Qnn_BackendHandle_t backend_handle, Qnn_DeviceHandle_t,
                                 const QnnContext_Config_t** configs,
                                 Qnn_ContextHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<Backend> backend = tables().backends.find(backend_handle);
    if (backend == nullptr) return kInvalidHandle;
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const Result<Options> options = read_configs(configs);
    if (!options.ok()) {
      backend->logger->error("contextCreate: " + options.status().message());
      return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    }
    auto object = std::make_shared<ContextObject>();
    object->context = std::make_shared<Context>(backend->engine, options->activations);
    object->logger = backend->logger;
    *handle = tables().contexts.add(std::move(object));
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t create_from_binary(Qnn_BackendHandle_t backend_handle, Qnn_DeviceHandle_t,
                                     const QnnContext_Config_t** configs, const void* binary,
                                     Qnn_ContextBinarySize_t size, Qnn_ContextHandle_t* handle,
                                     Qnn_ProfileHandle_t) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<Backend> backend = tables().backends.find(backend_handle);
    if (backend == nullptr) return kInvalidHandle;
    if (handle == nullptr || binary == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const Result<Options> options = read_configs(configs);
    if (!options.ok()) {
      backend->logger->error("contextCreateFromBinary: " + options.status().message());
      return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    }
    const std::span bytes(static_cast<const std::byte*>(binary), size);
    Result<std::shared_ptr<Context>> context =
        Context::from_binary(backend->engine, options->activations, bytes, options->persistent);
    if (!context.ok()) {
      backend->logger->error("contextCreateFromBinary: " + context.status().message());
      return context.status().code() == StatusCode::kOutOfRange ? QNN_CONTEXT_ERROR_BINARY_TRUNCATED
                                                                : QNN_CONTEXT_ERROR_BINARY_INVALID;
    }
    auto object = std::make_shared<ContextObject>();
    object->context = std::move(context).value();
    object->logger = backend->logger;
    *handle = tables().contexts.add(std::move(object));
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t context_free(Qnn_ContextHandle_t handle, Qnn_ProfileHandle_t) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<ContextObject> object = tables().contexts.remove(handle);
    if (object == nullptr) return kInvalidHandle;
    const std::lock_guard lock(object->mutex);
    for (const auto& [name, graph] : object->graphs) tables().graphs.remove(graph);
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_image(Qnn_ContextHandle_t handle, std::shared_ptr<const BinaryImage>& image) {
  const std::shared_ptr<ContextObject> object = tables().contexts.find(handle);
  if (object == nullptr) return kInvalidHandle;
  Result<std::shared_ptr<const BinaryImage>> result = object->context->binary(kBuildId);
  if (!result.ok()) {
    object->logger->error("contextGetBinary: " + result.status().message());
    return QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED;
  }
  image = std::move(result).value();
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t get_binary_size(Qnn_ContextHandle_t handle,
                                  Qnn_ContextBinarySize_t* size) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (size == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    std::shared_ptr<const BinaryImage> image;
    if (const Qnn_ErrorHandle_t error = get_image(handle, image); error != QNN_SUCCESS)
      return error;
    *size = image->size_bytes();
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_binary(Qnn_ContextHandle_t handle, void* buffer,
                             Qnn_ContextBinarySize_t capacity,
                             Qnn_ContextBinarySize_t* written) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (buffer == nullptr || written == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    std::shared_ptr<const BinaryImage> image;
    if (const Qnn_ErrorHandle_t error = get_image(handle, image); error != QNN_SUCCESS)
      return error;
    if (capacity < image->size_bytes()) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    image->write({static_cast<std::byte*>(buffer), image->size_bytes()});
    *written = image->size_bytes();
    return QNN_SUCCESS;
  });
}

}  // namespace

void fill_context_slots(QnnInterface_ImplementationV2_t& table) {
  table.contextCreate = context_create;
  table.contextCreateFromBinary = create_from_binary;
  table.contextFree = context_free;
  table.contextGetBinarySize = get_binary_size;
  table.contextGetBinary = get_binary;
}

}  // namespace qhx::cpu::abi
