// Whole pieces of models, in the form in which exporters write them: the rewritten graph against
// plain arithmetic and against the same graph without rewriting.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

using Named = std::map<std::string, Values>;

Named run(Executor& executor, const ModelEdges& edges, const Named& inputs) {
  for (const auto& [name, values] : inputs) executor.set(name, values);
  EXPECT_EQ(executor.run(), 0u) << Client::take_log();
  Named outputs;
  for (const Edge& edge : edges.outputs) outputs[edge.name] = executor.get(edge.name);
  return outputs;
}

// Names of the nodes that run, from the profile.
std::vector<std::string> nodes_run(Client& client, Executor& executor) {
  const auto& api = Client::api();
  Qnn_ProfileHandle_t profile = nullptr;
  EXPECT_EQ(api.profileCreate(client.backend(), 2, &profile), 0u);
  EXPECT_EQ(executor.run(profile), 0u);
  const std::uint64_t *events = nullptr, *nodes = nullptr;
  std::uint32_t count = 0;
  EXPECT_EQ(api.profileGetEvents(profile, &events, &count), 0u);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(api.profileGetSubEvents(events[0], &nodes, &count), 0u);
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < count; ++i) {
    QnnProfile_EventData_t data{};
    EXPECT_EQ(api.profileGetEventData(nodes[i], &data), 0u);
    names.emplace_back(data.identifier);
  }
  api.profileFree(profile);
  return names;
}

struct DecoderCase {
  const char* label;
  DecoderShape shape;
  std::uint32_t past;
  double tolerance;
};
std::ostream& operator<<(std::ostream& out, const DecoderCase& c) { return out << c.label; }

class DecoderTest : public ::testing::TestWithParam<DecoderCase> {};

TEST_P(DecoderTest, FusedAndUnfusedEqualPlainArithmetic) {
  const DecoderCase& c = GetParam();
  const Named inputs = decoder_inputs(c.shape, c.past, 5);
  for (const char* fuse : {"qhx.fuse:1", "qhx.fuse:0"}) {
    Client client({fuse});
    Graph graph(client.new_context(), "decoder");
    const Decoder decoder = build_decoder(graph, c.shape, 3);
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), decoder.edges.inputs, decoder.edges.outputs);
    const Named outputs = run(executor, decoder.edges, inputs);
    for (const auto& [name, expected] : run_decoder(decoder, c.shape, inputs)) {
      EXPECT_LT(relative_error(outputs.at(name), expected), c.tolerance) << fuse << " " << name;
    }
    // Twice gives the same: no state stays in the arena.
    EXPECT_EQ(run(executor, decoder.edges, inputs), outputs) << fuse;
  }
}

constexpr DecoderShape kSmall = {.tokens = 5,
                                 .context = 24,
                                 .hidden = 48,
                                 .query_heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 16,
                                 .ffn = 80,
                                 .layers = 2};

DecoderShape with(DecoderShape shape, WeightForm weights, Qnn_DataType_t type, std::uint32_t tokens,
                  std::uint32_t query_heads, bool deepstack) {
  shape.weights = weights;
  shape.activations = type;
  shape.tokens = tokens;
  shape.query_heads = query_heads;
  shape.deepstack = deepstack;
  return shape;
}

DecoderShape with_int8_cache(DecoderShape shape) {
  shape.int8_cache = true;
  return shape;
}

constexpr auto kF32 = QNN_DATATYPE_FLOAT_32;
constexpr auto kF16 = QNN_DATATYPE_FLOAT_16;

// The keys and values that leave are f16 (error up to 2^-11 each); the kernels may use the same
// precision inside.
INSTANTIATE_TEST_SUITE_P(
    Forms, DecoderTest,
    ::testing::Values(
        DecoderCase{"w8", with(kSmall, WeightForm::kW8, kF32, 5, 4, true), 9, 2e-3},
        DecoderCase{"w8_f16", with(kSmall, WeightForm::kW8, kF16, 5, 4, true), 9, 2e-3},
        DecoderCase{"f16", with(kSmall, WeightForm::kF16, kF32, 7, 6, false), 24, 2e-3},
        DecoderCase{"f32_no_past", with(kSmall, WeightForm::kF32, kF32, 5, 4, false), 0, 2e-3},
        DecoderCase{"decode", with(kSmall, WeightForm::kW8, kF32, 1, 4, false), 11, 2e-3},
        DecoderCase{"decode_f16", with(kSmall, WeightForm::kW8, kF16, 1, 4, false), 11, 2e-3},
        DecoderCase{"equal_heads", with(kSmall, WeightForm::kW8, kF32, 3, 2, false), 4, 2e-3},
        DecoderCase{"int8_cache", with_int8_cache(with(kSmall, WeightForm::kF32, kF32, 5, 4, true)),
                    9, 2e-3},
        DecoderCase{"int8_cache_full",
                    with_int8_cache(with(kSmall, WeightForm::kF32, kF32, 7, 6, false)), 24, 2e-3},
        DecoderCase{"int8_cache_decode",
                    with_int8_cache(with(kSmall, WeightForm::kF32, kF32, 1, 2, false)), 11, 2e-3},
        DecoderCase{"w4", with(kSmall, WeightForm::kW4, kF32, 5, 4, false), 9, 2e-3},
        DecoderCase{"w4_groups", with(kSmall, WeightForm::kW4Groups, kF16, 5, 4, false), 9, 2e-3}),
    [](const auto& test) { return test.param.label; });

TEST(DecoderFusion, LeavesFewNodes) {
  for (const DecoderShape& shape : {kSmall, with_int8_cache(kSmall)}) {
    Client client;
    Graph graph(client.new_context(), "decoder");
    const Decoder decoder = build_decoder(graph, shape, 3);
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), decoder.edges.inputs, decoder.edges.outputs);
    for (const auto& [name, values] : decoder_inputs(shape, 9, 5)) executor.set(name, values);
    // A layer: norm, qkv, q rope, k rope, new_k, attention, new_v, o + residual, norm, gate and up,
    // silu, down + residual. Once: the mask and the last norm.
    EXPECT_EQ(nodes_run(client, executor).size(), 2u * 12 + 2);
  }
}

TEST(DecoderFusion, MaskedOutCacheIsNotRead) {
  for (const DecoderShape& shape : {kSmall, with_int8_cache(kSmall)}) {
    Client client;
    Graph graph(client.new_context(), "decoder");
    const Decoder decoder = build_decoder(graph, shape, 3);
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), decoder.edges.inputs, decoder.edges.outputs);
    const Named clean = run(executor, decoder.edges, decoder_inputs(shape, 9, 5, 0.0f));
    const Named dirty = run(executor, decoder.edges,
                            decoder_inputs(shape, 9, 5, std::numeric_limits<float>::quiet_NaN()));
    EXPECT_EQ(clean, dirty);
  }
}

// softmax(beta * (q k + mask)) v with `heads` heads of `rows` rows each, as a client writes it.
struct PlainAttention {
  static constexpr std::uint32_t kHeads = 2, kRows = 3, kWidth = 8;
  static constexpr double kBeta = 0.25;
  Random random{7};
  Values q = random.values(kHeads * kRows * kWidth, -1, 1),
         k = random.values(kHeads * kRows * kWidth, -1, 1),
         v = random.values(kHeads * kRows * kWidth, -1, 1);

  Values run(const Values& mask, bool fuse) const {
    const Dims values = {1, kHeads, kRows, kWidth}, scores = {1, kHeads, kRows, kRows},
               masks = {1, 1, kRows, kRows};
    Client client({fuse ? "qhx.fuse:1" : "qhx.fuse:0"});
    Graph graph(client.new_context(), "g");
    const auto tq = graph.input("q", values), tk = graph.input("k", values),
               tv = graph.input("v", values), tm = graph.input("mask", masks);
    const auto sc = graph.native(scores), sum = graph.native(scores), p = graph.native(scores);
    const auto o = graph.output("o", values);
    graph.op("MatMul", {tq, tk}, {sc}, {boolean("transpose_in1", true)});
    graph.op("ElementWiseBinary", {sc, tm}, {sum}, {integer("operation", 0)});
    graph.op("Softmax", {sum}, {p}, {integer("axis", 3), number("beta", kBeta)});
    graph.op("MatMul", {p, tv}, {o});
    EXPECT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(
        graph.handle(),
        {{"q", values, kF32}, {"k", values, kF32}, {"v", values, kF32}, {"mask", masks, kF32}},
        {{"o", values, kF32}});
    executor.set("q", q);
    executor.set("k", k);
    executor.set("v", v);
    executor.set("mask", mask);
    EXPECT_EQ(executor.run(), 0u);
    EXPECT_EQ(nodes_run(client, executor).size(), fuse ? 2u : 4u);
    return executor.get("o");
  }
};

// An additive mask that is not "visible or not" is scaled by Softmax's beta like the scores.
TEST(AttentionFusion, ScalesTheMask) {
  PlainAttention attention;
  const Values mask = attention.random.values(9, -20, 20);
  EXPECT_LT(relative_error(attention.run(mask, true), attention.run(mask, false)), 1e-5);
}

TEST(AttentionFusion, ARowThatSeesNothingIsThatOfSoftmax) {
  const PlainAttention attention;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float low : {-65504.0f, -1e9f, std::numeric_limits<float>::lowest(), -kInfinity}) {
    // The middle row sees nothing.
    const Values mask = {0, low, low, low, low, low, 0, 0, 0};
    const Values plain = attention.run(mask, false);
    for (const float value : plain) ASSERT_TRUE(std::isfinite(value)) << low;
    // A sum of 65504 and a score is rounded to 2^-8, either way where it is near the middle.
    EXPECT_LT(relative_error(attention.run(mask, true), plain), 0x1p-8 * attention.kBeta) << low;
  }
}

// A client may want to see what lies between the ops that are fused.
TEST(Fusion, KeepsIntermediateOutputs) {
  constexpr std::uint32_t M = 3, K = 20, N = 24;
  Random random(7);
  const RandomWeight gate = random_weight(random, K, N, WeightForm::kW8),
                     up = random_weight(random, K, N, WeightForm::kW8);
  const Values x = random.values(M * K, -1, 1);
  Client client;
  Graph graph(client.new_context(), "g");
  const auto tx = graph.input("x", {1, 1, M, K});
  const Dims wide = {1, 1, M, N};
  const auto g = graph.output("gate", wide), s = graph.output("sigmoid", wide),
             u = graph.native(wide);
  const auto silu = graph.output("silu", wide), y = graph.output("y", wide);
  graph.op("Conv2d", {tx, add_weight(graph, gate, LinearForm::kConv2d)}, {g});
  graph.op("Conv2d", {tx, add_weight(graph, up, LinearForm::kConv2d)}, {u});
  graph.op("ElementWiseNeuron", {g}, {s}, {integer("operation", 6)});
  graph.op("ElementWiseBinary", {g, s}, {silu}, {integer("operation", 13)});
  graph.op("ElementWiseBinary", {silu, u}, {y}, {integer("operation", 13)});
  ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
  Executor executor(
      graph.handle(), {{"x", {1, 1, M, K}, kF32}},
      {{"gate", wide, kF32}, {"sigmoid", wide, kF32}, {"silu", wide, kF32}, {"y", wide, kF32}});
  executor.set("x", x);
  ASSERT_EQ(executor.run(), 0u);
  const Values eg = multiply(x, gate.dense, K, N), eu = multiply(x, up.dense, K, N);
  Values es = eg, esilu = eg, ey = eg;
  for (std::size_t i = 0; i < eg.size(); ++i) {
    es[i] = 1.0f / (1.0f + std::exp(-eg[i]));
    esilu[i] = eg[i] * es[i];
    ey[i] = esilu[i] * eu[i];
  }
  EXPECT_LT(relative_error(executor.get("gate"), eg), 1e-3);
  EXPECT_LT(relative_error(executor.get("sigmoid"), es), 1e-3);
  EXPECT_LT(relative_error(executor.get("silu"), esilu), 1e-3);
  EXPECT_LT(relative_error(executor.get("y"), ey), 1e-3);
}

class VisionTest : public ::testing::TestWithParam<std::tuple<WeightForm, Qnn_DataType_t>> {};

TEST_P(VisionTest, FusedAndUnfusedEqualPlainArithmetic) {
  const VisionShape shape{.patches = 36,
                          .hidden = 32,
                          .heads = 2,
                          .ffn = 80,
                          .blocks = 2,
                          .out = 40,
                          .weights = std::get<0>(GetParam()),
                          .activations = std::get<1>(GetParam())};
  const Values patches =
      from_bytes(to_bytes(Random(9).values(36 * 32, -1, 1), shape.activations), shape.activations);
  for (const char* fuse : {"qhx.fuse:1", "qhx.fuse:0"}) {
    Client client({fuse});
    Graph graph(client.new_context(), "vision");
    const Vision vision = build_vision(graph, shape, 4);
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), vision.edges.inputs, vision.edges.outputs);
    const Named outputs = run(executor, vision.edges, {{"patches", patches}});
    EXPECT_LT(relative_error(outputs.at("image_embeds"), run_vision(vision, shape, patches)), 2e-3)
        << fuse;
    // A block: norm, qkv, q rope, k rope, attention, o, norm, fc1, fc2. Then norm, fc1, fc2; f16
    // edges.
    if (fuse == std::string("qhx.fuse:1")) {
      EXPECT_EQ(nodes_run(client, executor).size(),
                2u * 9 + 3 + (shape.activations == kF16 ? 2 : 0));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, VisionTest,
                         ::testing::Combine(::testing::Values(WeightForm::kF16, WeightForm::kW8,
                                                              WeightForm::kW4Groups),
                                            ::testing::Values(kF32, kF16)));

}  // namespace
}  // namespace qhx::cpu::testing
