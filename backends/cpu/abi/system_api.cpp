// Slots of the system interface: what graphs a context binary holds, without loading it.
#include <deque>
#include <memory>
#include <vector>

#include "abi/convert.h"
#include "abi/entry.h"
#include "abi/guard.h"
#include "abi/handles.h"
#include "graph/binary_format.h"
#include "graph/binary_reader.h"

namespace qhx::cpu::abi {
namespace {

// Owns everything that the info points to.
struct SystemContext {
  BinaryContents contents;
  std::deque<std::vector<Qnn_Tensor_t>> tensors;
  std::deque<Dims> dims;
  std::vector<QnnSystemContext_GraphInfo_t> graphs;
  QnnSystemContext_BinaryInfo_t info{};
};

HandleTable<SystemContext>& contexts() {
  static auto* const kContexts = new HandleTable<SystemContext>(7);
  return *kContexts;
}

Qnn_Tensor_t describe_edge(const Tensor& tensor, SystemContext& owner) {
  Qnn_Tensor_t out{};
  out.version = QNN_TENSOR_VERSION_1;
  out.v1.id = tensor.id;
  out.v1.name = tensor.name.c_str();
  out.v1.type = tensor.role == Role::kInput ? QNN_TENSOR_TYPE_APP_WRITE : QNN_TENSOR_TYPE_APP_READ;
  out.v1.dataType = data_type_of(tensor.dtype);
  out.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
  out.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
  owner.dims.push_back(tensor.dims);
  out.v1.rank = static_cast<std::uint32_t>(owner.dims.back().size());
  out.v1.dimensions = owner.dims.back().data();
  out.v1.memType = QNN_TENSORMEMTYPE_RAW;
  return out;
}

std::vector<Qnn_Tensor_t>& describe_edges(const Graph& graph, const std::vector<int>& edges,
                                          SystemContext& owner) {
  std::vector<Qnn_Tensor_t>& list = owner.tensors.emplace_back();
  for (const int index : edges) {
    list.push_back(describe_edge(graph.tensors[static_cast<std::size_t>(index)], owner));
  }
  return list;
}

void build_info(SystemContext& context) {
  for (const auto& graph : context.contents.graphs) {
    QnnSystemContext_GraphInfo_t info{};
    info.version = QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3;
    std::vector<Qnn_Tensor_t>& inputs = describe_edges(*graph, graph->inputs, context);
    std::vector<Qnn_Tensor_t>& outputs = describe_edges(*graph, graph->outputs, context);
    info.graphInfoV3.graphName = graph->name.c_str();
    info.graphInfoV3.numGraphInputs = static_cast<std::uint32_t>(inputs.size());
    info.graphInfoV3.graphInputs = inputs.data();
    info.graphInfoV3.numGraphOutputs = static_cast<std::uint32_t>(outputs.size());
    info.graphInfoV3.graphOutputs = outputs.data();
    context.graphs.push_back(info);
  }
  context.info.version = QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3;
  QnnSystemContext_BinaryInfoV3_t& v3 = context.info.contextBinaryInfoV3;
  v3.backendId = kBackendId;
  v3.buildId = context.contents.build_id.c_str();
  v3.coreApiVersion = kCoreApiVersion;
  v3.backendApiVersion = kBackendApiVersion;
  v3.socVersion = "";
  v3.contextBlobVersion = {binary::kFormatVersion, 0, 0};
  v3.contextBlobSize = context.contents.file_bytes;
  v3.numGraphs = static_cast<std::uint32_t>(context.graphs.size());
  v3.graphs = context.graphs.data();
}

Qnn_ErrorHandle_t context_create(QnnSystemContext_Handle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (handle == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    *handle = contexts().add(std::make_shared<SystemContext>());
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_metadata(QnnSystemContext_Handle_t handle, const void* binary,
                               std::uint64_t size,
                               const QnnSystemContext_BinaryInfo_t** info) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (binary == nullptr || info == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const std::shared_ptr<SystemContext> context = contexts().find(handle);
    if (context == nullptr) return kInvalidHandle;
    Result<BinaryContents> contents =
        read_binary_metadata({static_cast<const std::byte*>(binary), size});
    if (!contents.ok()) {
      return contents.status().code() == StatusCode::kOutOfRange
                 ? QNN_CONTEXT_ERROR_BINARY_TRUNCATED
                 : QNN_CONTEXT_ERROR_BINARY_INVALID;
    }
    *context = SystemContext{};
    context->contents = std::move(contents).value();
    build_info(*context);
    *info = &context->info;
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t get_binary_info(QnnSystemContext_Handle_t handle, void* binary,
                                  std::uint64_t size, const QnnSystemContext_BinaryInfo_t** info,
                                  Qnn_ContextBinarySize_t* info_size) noexcept {
  const Qnn_ErrorHandle_t error = get_metadata(handle, binary, size, info);
  if (error == QNN_SUCCESS && info_size != nullptr)
    *info_size = sizeof(QnnSystemContext_BinaryInfo_t);
  return error;
}

Qnn_ErrorHandle_t context_free(QnnSystemContext_Handle_t handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    return contexts().remove(handle) != nullptr ? QNN_SUCCESS : kInvalidHandle;
  });
}

Qnn_ErrorHandle_t memory_footprint(Qnn_Tensor_t tensor, std::uint64_t* bytes) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    if (bytes == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    const Result<Tensor> described = tensor_from(tensor);
    if (!described.ok()) return QNN_TENSOR_ERROR_INVALID_TENSOR;
    *bytes = described->size_bytes();
    return QNN_SUCCESS;
  });
}

}  // namespace

void fill_system_slots(QnnSystemInterface_ImplementationV1_t& table) {
  table.systemContextCreate = context_create;
  table.systemContextGetBinaryInfo = get_binary_info;
  table.systemContextGetMetaData = get_metadata;
  table.systemContextFree = context_free;
  table.systemTensorGetMemoryFootprint = memory_footprint;
  table.systemLogCreate = log_create;
  table.systemLogSetLogLevel = log_set_level;
  table.systemLogFree = log_free;
}

}  // namespace qhx::cpu::abi
