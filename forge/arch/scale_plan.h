// Powers of two by which a model's activations are made smaller so that 16-bit floats hold them.
//
// An exponent k means that a graph computes value * 2^-k. Norms forget a factor of their input
// (epsilon takes its square), and their own weights put one on all that follows:
//   attention   norm before attention: q, k, v. Text: norms of q and k forget it; vision: the
//               softmax's beta takes it back. The linear after attention makes it the residual's.
//   q, k        norms of q and k (text): the scores; beta takes it back
//   mlp         norm before the MLP (text): up and silu(gate) * up; gate's weights take it back,
//               those of down make it the residual's
//   residual    what enters the stream, and all that is added to it. Vision: the MLP's inner
//               values are multiplied, for no weight can take a factor through GELU
// No weight matrix gets smaller if attention and mlp are at least the residual's exponent: HTP
// keeps the scales of int8 weights as 16-bit floats, so small ones would not be exact.
//
// Inputs and outputs of graphs keep their values, but for the deepstack features, which leave the
// vision graph smaller and enter the text graph so, and k and v of the KV cache, which all text
// graphs hold alike. All exponents zero: the graphs as they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "forge/arch/integer_plan.h"

namespace qhx::forge {

struct TextScales {
  int attention = 0;
  int q = 0, k = 0;
  int mlp = 0;
  bool operator==(const TextScales&) const = default;
};

struct ScalePlan {
  int vision_residual = 0;
  std::vector<int> vision_attention;  // by block; missing ones are zero
  std::vector<int> deepstack;         // by feature; missing ones are zero
  int text_residual = 0;
  std::vector<TextScales> text;  // by layer; missing ones are zero
  IntegerPlan integers;          // what is no 16-bit float at all

  int block_attention(std::size_t i) const { return at(vision_attention, i); }
  int feature(std::size_t k) const { return at(deepstack, k); }
  TextScales layer(std::size_t i) const { return at(text, i); }

  bool operator==(const ScalePlan&) const = default;
  bool identity() const {
    return vision_residual == 0 && text_residual == 0 && all_zero(vision_attention) &&
           all_zero(deepstack) && all_zero(text);
  }

 private:
  template <typename T>
  static T at(const std::vector<T>& values, std::size_t i) {
    return i < values.size() ? values[i] : T{};
  }
  template <typename T>
  static bool all_zero(const std::vector<T>& values) {
    return std::all_of(values.begin(), values.end(), [](const T& v) { return v == T{}; });
  }
};

// The epsilon of a norm whose input is smaller by 2^-exponent.
inline float scaled_epsilon(float epsilon, int exponent) {
  return std::ldexp(epsilon, -2 * exponent);
}

}  // namespace qhx::forge
