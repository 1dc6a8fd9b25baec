#include "forge/arch/vision_mlp.h"

#include <algorithm>

namespace qhx::forge {
namespace {

// Two keep the inner activations of a picture in a device's fast memory, and one's transfers are
// hidden behind the other's products. A piece's sum may be larger than that of all; the margin of
// forge/ranges leaves room for it.
constexpr std::uint32_t kPieces = 2;

}  // namespace

Result<std::vector<VisionMlpPiece>> load_vision_mlp(const WeightLoader& weights,
                                                    const std::string& prefix, int residual) {
  const std::string fc1 = prefix + "mlp.linear_fc1";
  QHX_ASSIGN_OR_RETURN(Linear fc2, weights.linear_with_bias(prefix + "mlp.linear_fc2", {},
                                                            {.weight = 0, .bias = -residual}));
  const bool whole = vision_form(weights.activation()) == VisionForm::kWhole;
  const std::uint32_t width = fc2.weight.inputs();
  const std::uint32_t size = whole ? width : piece_size(width, kPieces);
  std::vector<VisionMlpPiece> out;
  for (std::uint32_t first = 0; first < width; first += size) {
    const std::uint32_t count = std::min(size, width - first);
    VisionMlpPiece piece;
    QHX_ASSIGN_OR_RETURN(piece.fc1, weights.linear_with_bias(fc1, {first, count}));
    piece.fc2.weight = fc2.weight.part({first, count});
    if (first == 0) piece.fc2.bias = std::move(fc2.bias);
    out.push_back(std::move(piece));
  }
  return out;
}

qnn::Value vision_mlp(GraphOps& ops, const qnn::Value& x, std::span<const VisionMlpPiece> pieces,
                      int residual, const std::string& name) {
  qnn::Value sum;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const qnn::Value inner = ops.times_power_of_two(ops.gelu_tanh(ops.linear(x, pieces[i].fc1)),
                                                    -residual, name + "_" + std::to_string(i));
    const qnn::Value part = ops.linear(inner, pieces[i].fc2);
    sum = i == 0 ? part : ops.add(sum, part);
  }
  return sum;
}

}  // namespace qhx::forge
