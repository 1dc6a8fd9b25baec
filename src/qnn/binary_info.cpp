#include "qnn/binary_info.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "qnn/error.h"
#include "qnn/htp_metadata.h"

namespace qhx::qnn {
namespace {

const TensorInfo* find(const std::vector<TensorInfo>& tensors, std::string_view name) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::string text_or_empty(const char* text) { return text != nullptr ? text : ""; }

Result<std::vector<TensorInfo>> read_tensors(const Qnn_Tensor_t* tensors, std::uint32_t count) {
  if (count > 0 && tensors == nullptr) return corrupt("tensor list is missing");
  std::vector<TensorInfo> list;
  list.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    QHX_ASSIGN_OR_RETURN(TensorInfo info, read_tensor(tensors[i]));
    list.push_back(std::move(info));
  }
  return list;
}

std::span<const std::byte> bytes_at(const void* data, std::uint32_t size) {
  return data == nullptr ? std::span<const std::byte>()
                         : std::span(static_cast<const std::byte*>(data), size);
}

Result<GraphInfo> read_graph(const QnnSystemContext_GraphInfo_t& info, bool is_htp) {
  if (info.version < QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_1 ||
      info.version > QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3)
    return unsupported("graph description of unknown version " + std::to_string(info.version));
  const QnnSystemContext_GraphInfoV1_t& v1 = info.graphInfoV1;  // the later versions start the same
  GraphInfo graph;
  graph.name = text_or_empty(v1.graphName);
  const std::string where = "graph " + graph.name;
  QHX_ASSIGN_OR_RETURN(graph.inputs,
                       read_tensors(v1.graphInputs, v1.numGraphInputs).with_context(where));
  QHX_ASSIGN_OR_RETURN(graph.outputs,
                       read_tensors(v1.graphOutputs, v1.numGraphOutputs).with_context(where));
  if (is_htp && info.version == QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3) {
    const QnnSystemContext_GraphInfoV3_t& v3 = info.graphInfoV3;
    graph.htp = read_htp_graph_facts(bytes_at(v3.graphBlobInfo, v3.graphBlobInfoSize));
  }
  return graph;
}

// The fields that have different places in the versions of the description.
struct Located {
  std::uint32_t graph_count;
  const QnnSystemContext_GraphInfo_t* graphs;
};

Result<Located> locate(const QnnSystemContext_BinaryInfo_t& info, BinaryInfo& out) {
  // These have the same place in all versions.
  const QnnSystemContext_BinaryInfoV1_t& v1 = info.contextBinaryInfoV1;
  out.backend_id = v1.backendId;
  out.build_id = text_or_empty(v1.buildId);
  out.core_api = to_string(v1.coreApiVersion);
  out.backend_api = to_string(v1.backendApiVersion);
  switch (info.version) {
    case QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_1:
    case QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_2:
      out.format = to_string(v1.contextBlobVersion);
      return Located{v1.numGraphs, v1.graphs};
    case QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3: {
      const QnnSystemContext_BinaryInfoV3_t& v3 = info.contextBinaryInfoV3;
      out.format = to_string(v3.contextBlobVersion);
      out.soc_model = v3.socModel;
      if (out.backend_id == kHtpBackendId)
        out.dsp_arch = read_htp_arch(bytes_at(v3.contextMetadata, v3.contextMetadataSize));
      return Located{v3.numGraphs, v3.graphs};
    }
  }
  return unsupported("context binary description of unknown version " +
                     std::to_string(info.version));
}

}  // namespace

const TensorInfo* GraphInfo::input(std::string_view tensor) const { return find(inputs, tensor); }
const TensorInfo* GraphInfo::output(std::string_view tensor) const { return find(outputs, tensor); }

const GraphInfo* BinaryInfo::graph(std::string_view name) const {
  for (const GraphInfo& graph : graphs) {
    if (graph.name == name) return &graph;
  }
  return nullptr;
}

bool is_qhx_cpu_binary(std::span<const std::byte> binary) {
  constexpr std::string_view kMagic = "QHXCPU\r\n";
  return binary.size() >= kMagic.size() &&
         std::memcmp(binary.data(), kMagic.data(), kMagic.size()) == 0;
}

std::uint64_t spill_fill_bytes(const BinaryInfo& binary) {
  std::uint64_t most = 0;
  for (const GraphInfo& graph : binary.graphs) {
    if (graph.htp) most = std::max(most, graph.htp->spill_fill_bytes);
  }
  return most;
}

bool may_share_weights(const BinaryInfo& binary) {
  const auto may = [](const GraphInfo& graph) {
    return !graph.htp || graph.htp->shared_weight_bytes.value_or(1) != 0;
  };
  return binary.graphs.size() > 1 && std::any_of(binary.graphs.begin(), binary.graphs.end(), may);
}

Result<BinaryInfo> read_binary_info(const SystemLibrary& library,
                                    std::span<const std::byte> binary) {
  const auto& api = library.api();
  QnnSystemContext_Handle_t handle = nullptr;
  QHX_RETURN_IF_ERROR(
      check(api.systemContextCreate(&handle), library.path() + ": systemContextCreate"));
  const std::unique_ptr<void, Qnn_ErrorHandle_t (*)(void*)> owner(handle, api.systemContextFree);
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  Qnn_ContextBinarySize_t described = 0;
  // The interface takes a mutable pointer and reads only.
  void* bytes = const_cast<std::byte*>(binary.data());
  if (const auto code =
          api.systemContextGetBinaryInfo(handle, bytes, binary.size(), &info, &described);
      code != QNN_SUCCESS || info == nullptr) {
    Status status = check(code != QNN_SUCCESS ? code : QNN_CONTEXT_ERROR_BINARY_INVALID,
                          "reading the context binary's description");
    return corrupt(status.message());
  }
  BinaryInfo out;
  QHX_ASSIGN_OR_RETURN(const Located located, locate(*info, out));
  if (located.graph_count > 0 && located.graphs == nullptr) return corrupt("graph list is missing");
  for (std::uint32_t i = 0; i < located.graph_count; ++i) {
    QHX_ASSIGN_OR_RETURN(GraphInfo graph,
                         read_graph(located.graphs[i], out.backend_id == kHtpBackendId));
    out.graphs.push_back(std::move(graph));
  }
  return out;
}

}  // namespace qhx::qnn
