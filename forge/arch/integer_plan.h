// Which activations a graph holds as 16-bit integers, and how far each of them reaches.
//
// HTP multiplies 16-bit integers by int8 weights more than twice as fast as 16-bit floats, for
// which it has to expand the weights. To convert costs what is won, unless all between two
// conversions stays in integers: an MLP, or a linear whose ends are narrow. Each is in integers or
// in floats as a whole.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace qhx::forge {

// The largest magnitudes that integers must hold, of values as the graph has them (after the
// exponents of its ScalePlan). A structure of zeros: compute in floats.

struct LinearReach {
  float in = 0, out = 0;
  bool operator==(const LinearReach&) const = default;
};

// down(silu(gate(in)) * up(in)): product is the input of down.
struct GatedMlpReach {
  float in = 0, gate = 0, up = 0, product = 0, out = 0;
  bool operator==(const GatedMlpReach&) const = default;
};

// fc2(gelu(fc1(in))).
struct MlpReach {
  float in = 0, inner = 0, activated = 0, out = 0;
  bool operator==(const MlpReach&) const = default;
};

struct IntegerPlan {
  std::vector<MlpReach> vision_mlp;     // by block; missing ones are zero
  std::vector<LinearReach> text_o;      // by layer, the linear after attention
  std::vector<GatedMlpReach> text_mlp;  // by layer

  bool operator==(const IntegerPlan&) const = default;
};

// Nothing: compute in floats.
template <class Reach>
std::optional<Reach> reach_of(const std::vector<Reach>& reaches, std::size_t index) {
  if (index >= reaches.size() || reaches[index] == Reach{}) return std::nullopt;
  return reaches[index];
}

}  // namespace qhx::forge
