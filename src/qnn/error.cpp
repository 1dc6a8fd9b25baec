#include "qnn/error.h"

#include <cinttypes>
#include <cstdio>
#include <string>

#include "qnn/log.h"

namespace qhx::qnn {

std::string_view explain_error(Qnn_ErrorHandle_t code) {
  switch (code) {
    case QNN_COMMON_ERROR_NOT_SUPPORTED:
      return "not supported by this library";
    case QNN_COMMON_ERROR_MEM_ALLOC:
      return "out of memory, or the graph could not be prepared: the library's log has the reason";
    case QNN_COMMON_ERROR_INVALID_ARGUMENT:
      return "invalid argument";
    case QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED:
      return "not permitted in this state";
    case 1006:
      return "unsupported platform";
    case QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE:
      return "the library rejects this operation: types, shapes or parameters";
    case QNN_BACKEND_ERROR_CANNOT_INITIALIZE:
      return "cannot initialize: no Snapdragon processor found";
    case 5000:
      return "the context binary was made by a newer compiler than this library: update the QNN "
             "libraries";
    case 5005:
      return "a graph of the context cannot be made on this chip: was it prepared for a newer one?";
    case QNN_GRAPH_ERROR_INVALID_ARGUMENT:
      return "invalid argument for this graph";
    case QNN_GRAPH_ERROR_INVALID_HANDLE:
      return "no such graph";
    case QNN_GRAPH_ERROR_INVALID_NAME:
      return "unknown graph name, or a name used twice";
    case QNN_GRAPH_ERROR_UNCONNECTED_NODE:
      return "an operation's input is not produced by an earlier one";
    case QNN_GRAPH_ERROR_NOT_FINALIZED:
      return "the graph is not finalized";
    case QNN_TENSOR_ERROR_INVALID_TENSOR:
      return "invalid tensor description";
    case QNN_DEVICE_ERROR_INVALID_CONFIG:
      return "the device cannot be used: unknown SoC, or the DSP does not find its skel library";
    case QNN_CONTEXT_ERROR_BINARY_INVALID:
      return "not a context binary that this library can read";
    case QNN_CONTEXT_ERROR_BINARY_TRUNCATED:
      return "the context binary is damaged or truncated";
    default:
      return {};
  }
}

Status check(Qnn_ErrorHandle_t code, std::string_view what) {
  std::string said = take_recent_errors();
  if (code == QNN_SUCCESS) return {};
  char number[64];
  std::snprintf(number, sizeof number, "QNN error %" PRIu64 " (0x%" PRIx64 ")", code, code);
  std::string message = std::string(what) + ": " + number;
  if (const std::string_view meaning = explain_error(code); !meaning.empty())
    message += ", " + std::string(meaning);
  if (!said.empty()) message += ". The library says: " + said;
  const bool damaged =
      code == QNN_CONTEXT_ERROR_BINARY_INVALID || code == QNN_CONTEXT_ERROR_BINARY_TRUNCATED;
  return {damaged ? StatusCode::kCorrupt : StatusCode::kBackend, std::move(message)};
}

}  // namespace qhx::qnn
