#include "forge/arch/integer_ops.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/f16.h"
#include "forge/arch/graph_ops.h"

namespace qhx::forge {

using qnn::Value;
namespace op = qnn::op;

namespace {

constexpr float kTop = std::numeric_limits<std::uint16_t>::max();
// The least values of the functions, with room for how libraries round them.
constexpr float kLeastSilu = -0.28f, kLeastGelu = -0.18f;

}  // namespace

bool takes_integers(Qnn_DataType_t activation, std::uint32_t rows, const Linear& linear) {
  return activation == QNN_DATATYPE_FLOAT_16 && rows != 16 &&
         linear.weight.encoding().kind == qnn::Encoding::Kind::kPerChannel;
}

IntegerValue IntegerOps::native(qnn::Dims dims, float low, float high) {
  const float scale = (high - low) / kTop;
  const auto offset = static_cast<std::int32_t>(std::floor(low / scale));
  return {graph_.native(QNN_DATATYPE_UFIXED_POINT_16, std::move(dims),
                        {.kind = qnn::Encoding::Kind::kTensor, .scale = scale, .offset = offset}),
          scale};
}

IntegerValue IntegerOps::quantize(const Value& x, float reach) {
  const IntegerValue y = native(x.dims, -reach, reach);
  graph_.add(op::kQuantize, {x}, {y.value});
  return y;
}

Value IntegerOps::dequantize(const IntegerValue& x) {
  const Value y = graph_.native(QNN_DATATYPE_FLOAT_16, x.value.dims);
  graph_.add(op::kDequantize, {x.value}, {y});
  return y;
}

IntegerValue IntegerOps::linear(const IntegerValue& x, const Linear& linear, float reach) {
  const LinearWeight& weight = linear.weight;
  qnn::Dims dims = x.value.dims;
  dims.back() = weight.dims.back();
  const IntegerValue y = native(std::move(dims), -reach, reach);
  std::vector<Value> inputs = {x.value, graph_.constant(weight.name, weight.type, weight.dims,
                                                        weight.bytes.bytes(), weight.encoding())};
  if (linear.bias) inputs.push_back(bias(*linear.bias, x.scale, weight));
  add_linear(graph_, inputs, y.value);
  return y;
}

// In the steps of the sums it is added to: those of x times those of the weight.
Value IntegerOps::bias(const VectorWeight& bias, float scale, const LinearWeight& weight) {
  constexpr auto kMost = static_cast<double>(std::numeric_limits<std::int32_t>::max());
  std::vector<float> scales(weight.scales.size());
  std::vector<std::int32_t> integers(scales.size());
  for (std::size_t n = 0; n < scales.size(); ++n) {
    std::uint16_t half = 0;
    std::memcpy(&half, bias.bytes.data() + n * sizeof half, sizeof half);
    scales[n] = scale * weight.scales[n];
    const double steps = static_cast<double>(f16_to_f32(half)) / static_cast<double>(scales[n]);
    if (!(std::abs(steps) <= kMost)) {
      graph_.fail(out_of_range(bias.name + "[" + std::to_string(n) + "]: " + std::to_string(steps) +
                               " steps of its output, beyond 32 bits"));
      break;
    }
    integers[n] = static_cast<std::int32_t>(std::lround(steps));
  }
  return graph_.constant(bias.name, QNN_DATATYPE_SFIXED_POINT_32, bias.dims,
                         std::as_bytes(std::span(integers)),
                         {.kind = qnn::Encoding::Kind::kPerChannel, .axis = 0, .scales = scales});
}

IntegerValue IntegerOps::product(const IntegerValue& a, const IntegerValue& b, float low,
                                 float high) {
  const IntegerValue y = native(a.value.dims, low, high);
  graph_.add(op::kBinary, {a.value, b.value}, {y.value},
             {{"operation", static_cast<std::uint32_t>(qnn::Binary::kMultiply)}});
  return y;
}

IntegerValue IntegerOps::multiply(const IntegerValue& a, const IntegerValue& b, float reach) {
  return product(a, b, -reach, reach);
}

IntegerValue IntegerOps::neuron(const IntegerValue& x, qnn::Neuron operation, float low,
                                float high) {
  const IntegerValue y = native(x.value.dims, low, high);
  graph_.add(op::kNeuron, {x.value}, {y.value},
             {{"operation", static_cast<std::uint32_t>(operation)}});
  return y;
}

IntegerValue IntegerOps::silu(const IntegerValue& x, float reach) {
  return product(x, neuron(x, qnn::Neuron::kSigmoid, 0, 1), kLeastSilu, reach);
}

IntegerValue IntegerOps::gelu_tanh(const IntegerValue& x, float reach) {
  return neuron(x, qnn::Neuron::kGelu, kLeastGelu, reach);
}

}  // namespace qhx::forge
