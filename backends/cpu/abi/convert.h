// From the C structures of the interface to the backend's graph.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/status.h"
#include "graph/constant.h"
#include "graph/ir.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::abi {

// Name, role, type, dimensions and quantization; no id, no values. Reads the scales that `from`
// points to.
Result<Tensor> tensor_from(const Qnn_Tensor_t& from);

// The client's raw buffer. kInvalidArgument if there is none.
Result<std::span<const std::byte>> client_buffer(const Qnn_Tensor_t& tensor);

// Values of a tensor parameter that was created in the graph; null if it was not, so that its
// buffer is read.
using FindConstant = std::function<std::shared_ptr<Constant>(std::uint32_t id)>;

// Scalars and small integer tensors.
Result<Attributes> attributes_from(std::span<const Qnn_Param_t> params, const FindConstant& find);

// Checks version, counts and pointers of an op config. Everything it returns points into `from`.
struct OpConfig {
  std::string name, type;
  std::span<const Qnn_Param_t> params;
  std::span<const Qnn_Tensor_t> inputs, outputs;
};
Result<OpConfig> op_config_from(const Qnn_OpConfig_t& from);

Qnn_DataType_t data_type_of(DType type);

}  // namespace qhx::cpu::abi
