#include "forge/arch/vision_mlp.h"

#include <algorithm>

namespace qhx::forge {
namespace {

// Two keep the inner activations of a picture in a device's fast memory, and one's transfers are
// hidden behind the other's products. A piece's sum may be larger than that of all; the margin of
// forge/ranges leaves room for it.
constexpr std::uint32_t kPieces = 2;

}  // namespace

Result<VisionMlp> load_vision_mlp(const WeightLoader& weights, const std::string& prefix,
                                  std::uint32_t rows, int residual,
                                  const std::optional<MlpReach>& integers) {
  const std::string fc1 = prefix + "mlp.linear_fc1", fc2 = prefix + "mlp.linear_fc2";
  VisionMlp out;
  if (integers) {
    VisionMlpPiece whole;
    QHX_ASSIGN_OR_RETURN(whole.fc1, weights.linear_with_bias(fc1));
    // No weight can take a factor through GELU; fc2's own may, for integers do not overflow.
    QHX_ASSIGN_OR_RETURN(whole.fc2, weights.linear_with_bias(fc2, {}, {-residual, -residual}));
    if (takes_integers(weights.activation(), rows, whole.fc1) &&
        takes_integers(weights.activation(), rows, whole.fc2)) {
      out.integers = integers;
      out.pieces.push_back(std::move(whole));
      return out;
    }
  }
  out.inner_exponent = residual;
  QHX_ASSIGN_OR_RETURN(Linear last, weights.linear_with_bias(fc2, {}, {0, -residual}));
  const bool whole = vision_form(weights.activation()) == VisionForm::kWhole;
  const std::uint32_t width = last.weight.inputs();
  const std::uint32_t size = whole ? width : piece_size(width, kPieces);
  for (std::uint32_t first = 0; first < width; first += size) {
    const std::uint32_t count = std::min(size, width - first);
    VisionMlpPiece piece;
    QHX_ASSIGN_OR_RETURN(piece.fc1, weights.linear_with_bias(fc1, {first, count}));
    piece.fc2.weight = last.weight.part({first, count});
    if (first == 0) piece.fc2.bias = std::move(last.bias);
    out.pieces.push_back(std::move(piece));
  }
  return out;
}

qnn::Value vision_mlp(GraphOps& ops, IntegerOps& integers, const qnn::Value& x,
                      const VisionMlp& mlp, const std::string& name) {
  if (mlp.integers) {
    const MlpReach& reach = *mlp.integers;
    const VisionMlpPiece& w = mlp.pieces.front();
    const IntegerValue inner = integers.linear(integers.quantize(x, reach.in), w.fc1, reach.inner);
    const IntegerValue active = integers.gelu_tanh(inner, reach.activated);
    return integers.dequantize(integers.linear(active, w.fc2, reach.out));
  }
  qnn::Value sum;
  for (std::size_t i = 0; i < mlp.pieces.size(); ++i) {
    const VisionMlpPiece& w = mlp.pieces[i];
    const qnn::Value inner = ops.times_power_of_two(
        ops.gelu_tanh(ops.linear(x, w.fc1)), -mlp.inner_exponent, name + "_" + std::to_string(i));
    const qnn::Value part = ops.linear(inner, w.fc2);
    sum = i == 0 ? part : ops.add(sum, part);
  }
  return sum;
}

}  // namespace qhx::forge
