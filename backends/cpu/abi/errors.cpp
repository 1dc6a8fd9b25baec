#include "abi/errors.h"

namespace qhx::cpu::abi {

const char* error_message(Qnn_ErrorHandle_t error) {
  switch (error) {
    case QNN_SUCCESS:
      return "success";
    case QNN_COMMON_ERROR_NOT_SUPPORTED:
      return "not supported by the CPU backend, or not in this state";
    case QNN_COMMON_ERROR_MEM_ALLOC:
      return "out of memory";
    case kInternalError:
      return "internal error of the CPU backend";
    case QNN_COMMON_ERROR_INVALID_ARGUMENT:
      return "invalid argument or handle";
    case QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED:
      return "operation not permitted in this state";
    case QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE:
      return "operation rejected; the log says why";
    case QNN_BACKEND_ERROR_CANNOT_INITIALIZE:
      return "backend cannot be initialized with these options";
    case QNN_GRAPH_ERROR_INVALID_ARGUMENT:
      return "invalid graph argument; the log says which";
    case QNN_GRAPH_ERROR_INVALID_HANDLE:
      return "not the handle of a graph";
    case QNN_GRAPH_ERROR_INVALID_NAME:
      return "graph name unknown or in use";
    case QNN_GRAPH_ERROR_UNCONNECTED_NODE:
      return "a node's input has no producer yet";
    case kGraphExecuteFailed:
      return "execution failed; the log says why";
    case kGraphFinalizeFailed:
      return "finalize failed; the log says why";
    case QNN_GRAPH_ERROR_NOT_FINALIZED:
      return "graph is not finalized";
    case QNN_TENSOR_ERROR_INVALID_TENSOR:
      return "invalid tensor; the log says why";
    case QNN_DEVICE_ERROR_INVALID_CONFIG:
      return "invalid device config";
    case QNN_CONTEXT_ERROR_BINARY_INVALID:
      return "context binary damaged or of another kind";
    case QNN_CONTEXT_ERROR_BINARY_TRUNCATED:
      return "context binary truncated";
    default:
      return nullptr;
  }
}

}  // namespace qhx::cpu::abi
