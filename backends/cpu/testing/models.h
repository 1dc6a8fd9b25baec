// Graphs in the exact form in which exporters write them, with random weights: a text decoder, a
// vision block, a head.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "testing/client.h"

namespace qhx::cpu::testing {

enum class WeightForm { kF16, kF32, kW8, kW4, kW4Groups };
enum class LinearForm { kConv2d, kMatMul, kMatMulTransposed, kFullyConnected };

// Random values that depend only on the seed: two graphs that draw in the same order get the same
// weights.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(engine_() % 65537) / 65536.0f;
  }
  Values values(std::size_t count, float low, float high);
  int integer(int low, int high) {
    return low + static_cast<int>(engine_() % static_cast<unsigned>(high - low + 1));
  }

 private:
  std::mt19937 engine_;
};

// A weight in any form, with what it means: dense [K, N].
struct RandomWeight {
  std::size_t k, n;
  WeightForm form;
  std::vector<std::int8_t> integers;  // [K, N]
  std::vector<float> scales;          // n * groups + g
  std::size_t group;
  Values dense;
};
RandomWeight random_weight(Random& random, std::size_t k, std::size_t n, WeightForm form);
// Adds it as the weight of a linear of this form.
Graph::Id add_weight(Graph& graph, const RandomWeight& weight, LinearForm form);

struct DecoderShape {
  std::uint32_t tokens, context, hidden, query_heads, kv_heads, head_dim, ffn, layers;
  WeightForm weights = WeightForm::kW8;
  Qnn_DataType_t activations = QNN_DATATYPE_FLOAT_32;
  bool deepstack = false;
  // Keys and values as int8 with a scale a row: past_k_0 and past_k_scale_0, new_k_0 and
  // new_k_scale_0 … Otherwise f16.
  bool int8_cache = false;
};
// One layer of the smallest widths that have every part.
constexpr DecoderShape kTinyDecoder = {.tokens = 3,
                                       .context = 8,
                                       .hidden = 32,
                                       .query_heads = 4,
                                       .kv_heads = 2,
                                       .head_dim = 8,
                                       .ffn = 48,
                                       .layers = 1};
struct ModelEdges {
  std::vector<Edge> inputs, outputs;
};
// Values of one decoder layer, for a reference.
struct DecoderLayer {
  Values input_norm, q_norm, k_norm, post_norm;
  RandomWeight q, k, v, o, gate, up, down;
};
struct Decoder {
  ModelEdges edges;
  std::vector<DecoderLayer> layers;
  Values final_norm;
};
constexpr float kEpsilon = 1e-6f;
// Adds all tensors and nodes; the caller finalizes.
Decoder build_decoder(Graph& graph, const DecoderShape& shape, std::uint32_t seed);
// The same in plain arithmetic. `inputs` by name; returns outputs by name.
std::map<std::string, Values> run_decoder(const Decoder& decoder, const DecoderShape& shape,
                                          const std::map<std::string, Values>& inputs);
// Inputs for it, with the first `past` rows of the cache in use; other rows hold `filler`.
std::map<std::string, Values> decoder_inputs(const DecoderShape& shape, std::uint32_t past,
                                             std::uint32_t seed, float filler = 0.0f);

struct VisionShape {
  std::uint32_t patches, hidden, heads, ffn, blocks, merge = 4, out = 0;
  WeightForm weights = WeightForm::kW8;
  Qnn_DataType_t activations = QNN_DATATYPE_FLOAT_32;
};
struct VisionBlock {
  Values norm1_gamma, norm1_beta, norm2_gamma, norm2_beta, bq, bk, bv, bo, b1, b2;
  RandomWeight q, k, v, o, fc1, fc2;
};
struct Vision {
  ModelEdges edges;
  std::vector<VisionBlock> blocks;
  Values cos, sin;  // [patches, head_dim / 2]
  Values merger_gamma, merger_beta, merger_b1, merger_b2;
  RandomWeight merger_fc1, merger_fc2;
};
Vision build_vision(Graph& graph, const VisionShape& shape, std::uint32_t seed);
Values run_vision(const Vision& vision, const VisionShape& shape, const Values& patches);

// x [M, K] times a dense [K, N], in double.
Values multiply(const Values& x, const Values& dense, std::size_t k, std::size_t n);

// |a - b| / |b|, root mean squares.
double relative_error(const Values& a, const Values& b);

}  // namespace qhx::cpu::testing
