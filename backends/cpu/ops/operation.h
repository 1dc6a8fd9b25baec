// Which element-wise operation a node is.
#pragma once

#include <limits>

#include "graph/ir.h"
#include "qnn/abi/op_numbers.h"

namespace qhx::cpu {

// The parameter "operation" as one of QNN's numbers, which may be one that QNN does not know: the
// largest if the parameter is absent or no 32-bit number.
template <typename Operation>
Operation operation_of(const Node& node) {
  constexpr std::int64_t kNone = std::numeric_limits<std::uint32_t>::max();
  const std::int64_t number = node.attributes.integer("operation", kNone);
  return static_cast<Operation>(number < 0 || number > kNone ? kNone : number);
}
inline qnn::Binary binary_operation(const Node& node) { return operation_of<qnn::Binary>(node); }
inline qnn::Neuron neuron_operation(const Node& node) { return operation_of<qnn::Neuron>(node); }
inline qnn::Unary unary_operation(const Node& node) { return operation_of<qnn::Unary>(node); }

}  // namespace qhx::cpu
