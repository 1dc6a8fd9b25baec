// QNN's numbers of the element-wise operations: values of the parameter "operation". Plain numbers
// that need no other declaration of QNN's, so that what implements the operations can use them too.
#pragma once

#include <cstdint>

namespace qhx::qnn {

enum class Neuron : std::uint32_t {
  kElu = 0,
  kGelu = 1,  // the tanh form; the operation Gelu is the erf form. HTP does not tell them apart
              // within fp16
  kHardSigmoid = 2,
  kHardSwish = 3,
  kRelu = 4,
  kReluMinMax = 5,
  kSigmoid = 6,
  kSoftplus = 7,
  kTanh = 8,
};
enum class Binary : std::uint32_t {
  kAdd = 0,
  kDivide = 2,
  kEqual = 3,
  kGreater = 6,
  kLess = 8,
  kMaximum = 10,
  kMinimum = 11,
  kMultiply = 13,
  kPower = 16,
  kSquaredDifference = 17,
  kSubtract = 18,
};
enum class Unary : std::uint32_t {
  kAbs = 0,
  kCos = 4,
  kExp = 5,
  kNegate = 8,
  kRound = 11,  // halves to even
  kRsqrt = 12,
  kSin = 14,
  kSqrt = 15,
};

}  // namespace qhx::qnn
