// Slots around graphs: building, finalize, execute.
#include <chrono>

#include "abi/convert.h"
#include "abi/entry.h"
#include "abi/guard.h"
#include "abi/handles.h"
#include "abi/profile.h"

namespace qhx::cpu::abi {
namespace {

Qnn_ErrorHandle_t fail(const GraphObject& graph, Qnn_ErrorHandle_t error, std::string_view call,
                       const Status& status) {
  graph.owner->logger->error(std::string(call) + ": " + status.message());
  return error;
}

// ---- Building ----

Qnn_ErrorHandle_t graph_create(Qnn_ContextHandle_t context, const char* name,
                               const QnnGraph_Config_t** configs,
                               Qnn_GraphHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<ContextObject> owner = tables().contexts.find(context);
    if (owner == nullptr) return kInvalidHandle;
    if (name == nullptr || *name == '\0' || handle == nullptr)
      return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    for (; configs != nullptr && *configs != nullptr; ++configs) {
      if ((*configs)->option != QNN_GRAPH_CONFIG_OPTION_CUSTOM) continue;
      owner->logger->error("graphCreate: the CPU backend has no custom graph config");
      return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    }
    const std::lock_guard lock(owner->mutex);
    Result<std::shared_ptr<ClientGraph>> graph = owner->context->add_graph(name);
    if (!graph.ok()) {
      owner->logger->error("graphCreate: " + graph.status().message());
      return graph.status().code() == StatusCode::kInvalidArgument
                 ? QNN_GRAPH_ERROR_INVALID_NAME
                 : QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED;
    }
    *handle = tables().graphs.add(std::make_shared<GraphObject>(GraphObject{owner, *graph}));
    owner->graphs[name] = *handle;
    return QNN_SUCCESS;
  });
}

Qnn_ErrorHandle_t graph_retrieve(Qnn_ContextHandle_t context, const char* name,
                                 Qnn_GraphHandle_t* handle) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<ContextObject> owner = tables().contexts.find(context);
    if (owner == nullptr) return kInvalidHandle;
    if (name == nullptr || handle == nullptr) return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    const std::lock_guard lock(owner->mutex);
    std::shared_ptr<ClientGraph> graph = owner->context->find_graph(name);
    if (graph == nullptr) {
      owner->logger->error("graphRetrieve: the context has no graph '" + std::string(name) + "'");
      return QNN_GRAPH_ERROR_INVALID_NAME;
    }
    void*& known = owner->graphs[name];
    if (known == nullptr) {
      known =
          tables().graphs.add(std::make_shared<GraphObject>(GraphObject{owner, std::move(graph)}));
    }
    *handle = known;
    return QNN_SUCCESS;
  });
}

Result<std::uint32_t> create_tensor(ClientGraph& graph, const Qnn_Tensor_t& from) {
  QHX_ASSIGN_OR_RETURN(Tensor tensor, tensor_from(from));
  if (tensor.name.empty()) return invalid_argument("a tensor has no name");
  std::span<const std::byte> values;
  if (tensor.is_static()) {
    QHX_ASSIGN_OR_RETURN(values, client_buffer(from));
  }
  return graph.add_tensor(std::move(tensor), values);
}

Qnn_ErrorHandle_t create_graph_tensor(Qnn_GraphHandle_t handle, Qnn_Tensor_t* tensor) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<GraphObject> graph = tables().graphs.find(handle);
    if (graph == nullptr) return QNN_GRAPH_ERROR_INVALID_HANDLE;
    if (tensor == nullptr) return QNN_TENSOR_ERROR_INVALID_TENSOR;
    const Result<std::uint32_t> id = create_tensor(*graph->graph, *tensor);
    if (!id.ok())
      return fail(*graph, QNN_TENSOR_ERROR_INVALID_TENSOR, "tensorCreateGraphTensor", id.status());
    tensor->v1.id = *id;
    return QNN_SUCCESS;
  });
}

Result<int> resolve(const ClientGraph& graph, const Qnn_Tensor_t& tensor) {
  if (tensor.v1.type == QNN_TENSOR_TYPE_NULL) return -1;
  const int index = graph.find_tensor(tensor.v1.id);
  if (index >= 0) return index;
  return invalid_argument("tensor '" +
                          std::string(tensor.v1.name == nullptr ? "" : tensor.v1.name) + "' (id " +
                          std::to_string(tensor.v1.id) + ") was not created in this graph");
}

Result<Node> node_from(const ClientGraph& graph, const Qnn_OpConfig_t& config) {
  QHX_ASSIGN_OR_RETURN(const OpConfig op, op_config_from(config));
  Node node{.name = op.name, .type = op.type, .attributes = {}, .inputs = {}, .outputs = {}};
  const std::string what = op.type + " '" + op.name + "'";
  Result<Attributes> attributes =
      attributes_from(op.params, [&](std::uint32_t id) { return graph.constant_of(id); });
  if (!attributes.ok()) return attributes.status().with_context(what);
  node.attributes = std::move(attributes).value();
  for (const Qnn_Tensor_t& tensor : op.inputs) {
    const Result<int> index = resolve(graph, tensor);
    if (!index.ok()) return index.status().with_context(what);
    node.inputs.push_back(*index);
  }
  for (const Qnn_Tensor_t& tensor : op.outputs) {
    const Result<int> index = resolve(graph, tensor);
    if (!index.ok()) return index.status().with_context(what);
    if (*index < 0) return invalid_argument(what + ": an output is missing");
    node.outputs.push_back(*index);
  }
  return node;
}

Qnn_ErrorHandle_t add_node(Qnn_GraphHandle_t handle, Qnn_OpConfig_t config) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<GraphObject> graph = tables().graphs.find(handle);
    if (graph == nullptr) return QNN_GRAPH_ERROR_INVALID_HANDLE;
    Result<Node> node = node_from(*graph->graph, config);
    if (!node.ok())
      return fail(*graph, QNN_GRAPH_ERROR_INVALID_ARGUMENT, "graphAddNode", node.status());
    const Status status = graph->graph->add_node(std::move(node).value());
    switch (status.code()) {
      case StatusCode::kOk:
        return QNN_SUCCESS;
      case StatusCode::kNotFound:
        return fail(*graph, QNN_GRAPH_ERROR_UNCONNECTED_NODE, "graphAddNode", status);
      case StatusCode::kUnsupported:
        return fail(*graph, QNN_COMMON_ERROR_NOT_SUPPORTED, "graphAddNode", status);
      default:
        return fail(*graph, QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE, "graphAddNode", status);
    }
  });
}

Qnn_ErrorHandle_t graph_finalize(Qnn_GraphHandle_t handle, Qnn_ProfileHandle_t,
                                 Qnn_SignalHandle_t) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<GraphObject> graph = tables().graphs.find(handle);
    if (graph == nullptr) return QNN_GRAPH_ERROR_INVALID_HANDLE;
    const Status status = graph->graph->finalize();
    if (status.ok()) return QNN_SUCCESS;
    const bool again = status.code() == StatusCode::kUnsupported && graph->graph->finalized();
    return fail(*graph, again ? QNN_COMMON_ERROR_NOT_SUPPORTED : kGraphFinalizeFailed,
                "graphFinalize", status);
  });
}

// ---- Executing ----

std::string expected_of(const Tensor& tensor) {
  return std::string(name(tensor.dtype)) + " " + to_string(tensor.dims);
}

// The place of a client's tensor among `edges`: by its id, or by name where it has none.
Result<std::size_t> find_edge(const Graph& graph, const std::vector<int>& edges,
                              const Qnn_Tensor_t& tensor) {
  const std::string_view name = tensor.v1.name == nullptr ? "" : tensor.v1.name;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const Tensor& edge = graph.tensors[static_cast<std::size_t>(edges[i])];
    if (tensor.v1.id != 0 ? edge.id == tensor.v1.id && (name.empty() || name == edge.name)
                          : edge.name == name)
      return i;
  }
  return invalid_argument("tensor '" + std::string(name) + "' (id " + std::to_string(tensor.v1.id) +
                          ") is not one of the graph's");
}

Status check_buffer(const Tensor& expected, const Qnn_Tensor_t& given) {
  const std::string what = "tensor '" + expected.name + "'";
  const Qnn_TensorV1_t& t = given.v1;
  const bool same_dims = t.dimensions != nullptr && t.rank == expected.dims.size() &&
                         std::equal(expected.dims.begin(), expected.dims.end(), t.dimensions);
  if (t.dataType != data_type_of(expected.dtype) || !same_dims) {
    return invalid_argument(what + ": expected " + expected_of(expected) +
                            ", found another type or dimensions");
  }
  Result<std::span<const std::byte>> buffer = client_buffer(given);
  if (!buffer.ok()) return buffer.status();
  if (buffer->size() < expected.size_bytes()) {
    return invalid_argument(what + ": expected a buffer of " +
                            std::to_string(expected.size_bytes()) + " bytes, found " +
                            std::to_string(buffer->size()));
  }
  if (reinterpret_cast<std::uintptr_t>(buffer->data()) % size_bytes(expected.dtype) != 0) {
    return invalid_argument(what + ": its buffer is not aligned for its element type");
  }
  return {};
}

template <typename Pointer>
Status bind_edges(const Graph& graph, const std::vector<int>& edges,
                  std::span<const Qnn_Tensor_t> given, std::string_view kind,
                  std::vector<Pointer>& to) {
  if (given.size() != edges.size()) {
    return invalid_argument("graph '" + graph.name + "': expected " + std::to_string(edges.size()) +
                            " " + std::string(kind) + ", found " + std::to_string(given.size()));
  }
  to.assign(edges.size(), nullptr);
  for (const Qnn_Tensor_t& tensor : given) {
    QHX_ASSIGN_OR_RETURN(const std::size_t place, find_edge(graph, edges, tensor));
    const Tensor& expected = graph.tensors[static_cast<std::size_t>(edges[place])];
    if (to[place] != nullptr)
      return invalid_argument("tensor '" + expected.name + "' is given twice");
    QHX_RETURN_IF_ERROR(check_buffer(expected, tensor));
    to[place] = tensor.v1.clientBuf.data;
  }
  return {};
}

Qnn_ErrorHandle_t run(const GraphObject& object, std::span<const Qnn_Tensor_t> inputs,
                      std::span<const Qnn_Tensor_t> outputs, Profile* profile) {
  const Graph& graph = *object.graph->executable();
  // Kept by each thread, so that executing again allocates nothing.
  thread_local std::vector<const void*> in;
  thread_local std::vector<void*> out;
  Status status = bind_edges(graph, graph.inputs, inputs, "inputs", in);
  if (status.ok()) status = bind_edges(graph, graph.outputs, outputs, "outputs", out);
  if (!status.ok()) return fail(object, QNN_GRAPH_ERROR_INVALID_ARGUMENT, "graphExecute", status);
  std::vector<StepTime> times;
  const auto start = std::chrono::steady_clock::now();
  status = object.graph->program().execute(in, out, profile != nullptr ? &times : nullptr);
  if (!status.ok()) return fail(object, kGraphExecuteFailed, "graphExecute", status);
  if (profile != nullptr) {
    const auto spent = std::chrono::steady_clock::now() - start;
    const auto total = std::chrono::duration_cast<std::chrono::microseconds>(spent).count();
    profile->record(graph.name, static_cast<std::uint64_t>(total), times);
  }
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t graph_execute(Qnn_GraphHandle_t handle, const Qnn_Tensor_t* inputs,
                                std::uint32_t num_inputs, Qnn_Tensor_t* outputs,
                                std::uint32_t num_outputs, Qnn_ProfileHandle_t profile_handle,
                                Qnn_SignalHandle_t) noexcept {
  return guarded([&]() -> Qnn_ErrorHandle_t {
    const std::shared_ptr<GraphObject> graph = tables().graphs.find(handle);
    if (graph == nullptr) return QNN_GRAPH_ERROR_INVALID_HANDLE;
    if ((inputs == nullptr && num_inputs > 0) || (outputs == nullptr && num_outputs > 0)) {
      return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    }
    if (!graph->graph->finalized()) {
      return fail(*graph, QNN_GRAPH_ERROR_NOT_FINALIZED, "graphExecute",
                  invalid_argument("graph '" + graph->graph->name() + "' is not finalized"));
    }
    const std::shared_ptr<Profile> profile = tables().profiles.find(profile_handle);
    if (profile_handle != nullptr && profile == nullptr) return kInvalidHandle;
    return run(*graph, {inputs, num_inputs}, {outputs, num_outputs}, profile.get());
  });
}

}  // namespace

void fill_graph_slots(QnnInterface_ImplementationV2_t& table) {
  table.graphCreate = graph_create;
  table.graphRetrieve = graph_retrieve;
  table.tensorCreateGraphTensor = create_graph_tensor;
  table.graphAddNode = add_node;
  table.graphFinalize = graph_finalize;
  table.graphExecute = graph_execute;
}

}  // namespace qhx::cpu::abi
