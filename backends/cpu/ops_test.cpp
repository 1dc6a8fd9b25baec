// Every public op through the C interface against plain arithmetic, in f32 and f16; linears in all
// forms and weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

constexpr auto kF32 = QNN_DATATYPE_FLOAT_32;
constexpr auto kF16 = QNN_DATATYPE_FLOAT_16;
constexpr auto kI32 = QNN_DATATYPE_INT_32;
constexpr auto kI8 = QNN_DATATYPE_INT_8;
constexpr auto kBool = QNN_DATATYPE_BOOL_8;

using Function = std::function<Values(const std::vector<Values>&)>;

struct OpCase {
  std::string type;
  std::vector<Dims> inputs;  // of random values in [low, high]
  std::vector<Dims> outputs;
  std::vector<Param> params;
  Function expected;  // outputs one after the other
  float low = -2.0f, high = 2.0f;
  std::vector<Qnn_DataType_t> input_types, output_types;  // empty: the type under test
};

// Inputs are client tensors, so the op reads and writes at the graph's edges.
void check(const OpCase& c, Qnn_DataType_t type) {
  Client client;
  Graph graph(client.new_context(), "g");
  Random random(11);
  std::vector<Edge> in, out;
  std::vector<Graph::Id> inputs, outputs;
  std::vector<Values> values;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const Qnn_DataType_t t = c.input_types.empty() ? type : c.input_types[i];
    in.push_back({"in" + std::to_string(i), c.inputs[i], t});
    inputs.push_back(graph.input(in.back().name, c.inputs[i], t));
    values.push_back(
        from_bytes(to_bytes(random.values(count_of(c.inputs[i]), c.low, c.high), t), t));
  }
  for (std::size_t i = 0; i < c.outputs.size(); ++i) {
    const Qnn_DataType_t t = c.output_types.empty() ? type : c.output_types[i];
    out.push_back({"out" + std::to_string(i), c.outputs[i], t});
    outputs.push_back(graph.output(out.back().name, c.outputs[i], t));
  }
  EXPECT_EQ(graph.validate(client, c.type, inputs, outputs, c.params), 0u) << c.type << "\n"
                                                                           << Client::take_log();
  graph.op(c.type, inputs, outputs, c.params);
  ASSERT_EQ(graph.finalize(), 0u) << c.type << "\n" << Client::take_log();
  Executor executor(graph.handle(), in, out);
  for (std::size_t i = 0; i < in.size(); ++i) executor.set(in[i].name, values[i]);
  ASSERT_EQ(executor.run(), 0u) << c.type << "\n" << Client::take_log();
  Values found;
  for (const Edge& edge : out) {
    const Values one = executor.get(edge.name);
    found.insert(found.end(), one.begin(), one.end());
  }
  const Values expected = c.expected(values);
  ASSERT_EQ(found.size(), expected.size()) << c.type;
  // f16: half a unit in the last place of the result. f32: the kernels' polynomials.
  const float tolerance = type == kF16 ? 6e-4f : 2e-5f;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], tolerance * (1.0f + std::fabs(expected[i])))
        << c.type << " at " << i;
  }
}

void check(const OpCase& c) {
  check(c, kF32);
  check(c, kF16);
}

Function each(float (*f)(float)) {
  return [f](const std::vector<Values>& in) {
    Values y = in[0];
    for (float& v : y) v = f(v);
    return y;
  };
}

// Walks all indices of `dims` in order.
template <typename F>
void for_indices(const Dims& dims, F&& f) {
  std::vector<std::size_t> index(dims.size(), 0);
  for (std::size_t i = 0; i < count_of(dims); ++i) {
    f(index);
    for (std::size_t d = dims.size(); d-- > 0;) {
      if (++index[d] < dims[d]) break;
      index[d] = 0;
    }
  }
}

float at(const Values& values, const Dims& dims, const std::vector<std::size_t>& index) {
  std::size_t place = 0;
  const std::size_t lead = index.size() - dims.size();
  for (std::size_t d = 0; d < dims.size(); ++d)
    place = place * dims[d] + (dims[d] == 1 ? 0 : index[d + lead]);
  return values[place];
}

TEST(Ops, Unary) {
  const Dims dims = {2, 3, 37};
  const auto neuron = [&](std::int64_t operation, float (*f)(float), std::vector<Param> more = {}) {
    more.push_back(integer("operation", operation));
    check({.type = "ElementWiseNeuron",
           .inputs = {dims},
           .outputs = {dims},
           .params = more,
           .expected = each(f)});
  };
  neuron(0, [](float x) { return x > 0 ? x : std::expm1(x); });
  neuron(1, [](float x) {
    return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
  });
  neuron(2, [](float x) { return std::fmax(0.0f, std::fmin(1.0f, 0.25f * x + 0.5f)); },
         {number("alpha", 0.25)});
  neuron(3, [](float x) { return x * std::fmax(0.0f, std::fmin(6.0f, x + 3)) / 6; });
  neuron(4, [](float x) { return std::fmax(x, 0.0f); });
  neuron(5, [](float x) { return std::fmax(-0.5f, std::fmin(1.0f, x)); },
         {number("min_value", -0.5), number("max_value", 1.0)});
  neuron(6, [](float x) { return 1 / (1 + std::exp(-x)); });
  neuron(7, [](float x) { return std::log1p(std::exp(x)); });
  neuron(8, [](float x) { return std::tanh(x); });
  check({.type = "Gelu",
         .inputs = {dims},
         .outputs = {dims},
         .expected = each([](float x) { return 0.5f * x * (1 + std::erf(x * 0.70710678f)); })});
  const auto unary = [&](std::int64_t operation, float (*f)(float), float low) {
    check({.type = "ElementWiseUnary",
           .inputs = {dims},
           .outputs = {dims},
           .params = {integer("operation", operation)},
           .expected = each(f),
           .low = low});
  };
  unary(
      0, [](float x) { return std::fabs(x); }, -2);
  unary(
      4, [](float x) { return std::cos(x); }, -2);
  unary(
      5, [](float x) { return std::exp(x); }, -2);
  unary(
      11, [](float x) { return std::nearbyint(x); }, -2);
  unary(
      8, [](float x) { return -x; }, -2);
  unary(
      12, [](float x) { return 1 / std::sqrt(x); }, 0.1f);
  unary(
      14, [](float x) { return std::sin(x); }, -2);
  unary(
      15, [](float x) { return std::sqrt(x); }, 0);
}

TEST(Ops, BinaryBroadcasts) {
  struct Shapes {
    Dims a, b, y;
  };
  const std::vector<Shapes> shapes = {{{2, 3, 5}, {2, 3, 5}, {2, 3, 5}},
                                      {{2, 3, 5}, {5}, {2, 3, 5}},
                                      {{1}, {4, 7}, {4, 7}},
                                      {{2, 1, 5}, {3, 1}, {2, 3, 5}},
                                      {{4, 1, 3}, {1, 6, 1}, {4, 6, 3}},
                                      {{2, 3, 4}, {2, 1, 4}, {2, 3, 4}}};
  struct Operation {
    std::int64_t number;
    float (*f)(float, float);
  };
  const std::vector<Operation> operations = {
      {0, [](float a, float b) { return a + b; }},
      {2, [](float a, float b) { return a / b; }},
      {10, [](float a, float b) { return std::fmax(a, b); }},
      {11, [](float a, float b) { return std::fmin(a, b); }},
      {13, [](float a, float b) { return a * b; }},
      {16, [](float a, float b) { return std::pow(a, b); }},
      {17, [](float a, float b) { return (a - b) * (a - b); }},
      {18, [](float a, float b) { return a - b; }},
      {3, [](float a, float b) { return a == b ? 1.0f : 0.0f; }},
      {6, [](float a, float b) { return a > b ? 1.0f : 0.0f; }},
      {8, [](float a, float b) { return a < b ? 1.0f : 0.0f; }}};
  for (const Shapes& s : shapes) {
    for (const Operation& o : operations) {
      const bool compares = o.number == 3 || o.number == 6 || o.number == 8;
      OpCase c{.type = "ElementWiseBinary",
               .inputs = {s.a, s.b},
               .outputs = {s.y},
               .params = {integer("operation", o.number)},
               .expected =
                   [&](const std::vector<Values>& in) {
                     Values y;
                     for_indices(s.y, [&](const auto& i) {
                       y.push_back(o.f(at(in[0], s.a, i), at(in[1], s.b, i)));
                     });
                     return y;
                   },
               .low = 0.25f};
      if (compares) c.output_types = {kBool};
      check(c);
    }
  }
}

TEST(Ops, BinaryOnIntegers) {
  const Dims dims = {3, 4};
  check({.type = "ElementWiseBinary",
         .inputs = {dims, dims},
         .outputs = {dims},
         .params = {integer("operation", 0)},
         .expected =
             [](const std::vector<Values>& in) {
               Values y = in[0];
               for (std::size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
               return y;
             },
         .low = -50,
         .high = 50,
         .input_types = {kI32, kI32},
         .output_types = {kI32}},
        kF32);
}

TEST(Ops, MatMulBatchesAndTransposes) {
  const auto expected = [](Dims a, Dims b, Dims y, bool ta, bool tb) {
    return [=](const std::vector<Values>& in) {
      Values out;
      const std::size_t k = ta ? a[a.size() - 2] : a.back();
      for_indices(y, [&](const std::vector<std::size_t>& i) {
        double total = 0;
        for (std::size_t j = 0; j < k; ++j) {
          std::vector<std::size_t> ia = i, ib = i;
          (ta ? ia[ia.size() - 2] : ia.back()) = j;
          if (ta) ia.back() = i[i.size() - 2];
          (tb ? ib.back() : ib[ib.size() - 2]) = j;
          if (tb) ib[ib.size() - 2] = i.back();
          total += double{at(in[0], a, ia)} * at(in[1], b, ib);
        }
        out.push_back(static_cast<float>(total));
      });
      return out;
    };
  };
  struct Shapes {
    Dims a, b, y;
    bool ta, tb;
  };
  for (const Shapes& s :
       std::vector<Shapes>{{{3, 20}, {20, 17}, {3, 17}, false, false},
                           {{3, 20}, {17, 20}, {3, 17}, false, true},
                           {{20, 3}, {20, 17}, {3, 17}, true, false},
                           {{2, 20, 3}, {17, 20}, {2, 3, 17}, true, true},
                           {{1, 4, 2, 8}, {1, 4, 8, 40}, {1, 4, 2, 40}, false, false},
                           {{1, 2, 3, 5, 8}, {1, 2, 1, 9, 8}, {1, 2, 3, 5, 9}, false, true}}) {
    check({.type = "MatMul",
           .inputs = {s.a, s.b},
           .outputs = {s.y},
           .params = {boolean("transpose_in0", s.ta), boolean("transpose_in1", s.tb)},
           .expected = expected(s.a, s.b, s.y, s.ta, s.tb),
           .low = -1,
           .high = 1});
  }
}

TEST(Ops, Softmax) {
  check({.type = "Softmax",
         .inputs = {{2, 3, 19}},
         .outputs = {{2, 3, 19}},
         .params = {integer("axis", 2), number("beta", 0.5)},
         .expected = [](const std::vector<Values>& in) {
           Values y = in[0];
           for (std::size_t r = 0; r < 6; ++r) {
             double total = 0;
             for (std::size_t i = 0; i < 19; ++i) total += std::exp(0.5 * y[r * 19 + i]);
             for (std::size_t i = 0; i < 19; ++i)
               y[r * 19 + i] = static_cast<float>(std::exp(0.5 * y[r * 19 + i]) / total);
           }
           return y;
         }});
}

TEST(Ops, DataMovement) {
  const Dims dims = {2, 3, 4, 5};
  const auto moved = [](const Dims& from, const Dims& to, auto place) {
    return [=](const std::vector<Values>& in) {
      Values y;
      for_indices(
          to, [&](const std::vector<std::size_t>& i) { y.push_back(at(in[0], from, place(i))); });
      return y;
    };
  };
  using Index = std::vector<std::size_t>;
  check({.type = "Reshape", .inputs = {dims}, .outputs = {{6, 20}}, .expected = [](const auto& in) {
           return in[0];
         }});
  check({.type = "ExpandDims",
         .inputs = {{6, 5}},
         .outputs = {{1, 6, 1, 5}},
         .params = {list("axes", {0, 2})},
         .expected = [](const auto& in) { return in[0]; }});
  for (const std::vector<std::int64_t>& perm : std::vector<std::vector<std::int64_t>>{
           {0, 2, 1, 3}, {0, 1, 3, 2}, {3, 2, 1, 0}, {0, 1, 2, 3}}) {
    Dims to;
    for (const std::int64_t axis : perm) to.push_back(dims[static_cast<std::size_t>(axis)]);
    check({.type = "Transpose",
           .inputs = {dims},
           .outputs = {to},
           .params = {list("perm", perm)},
           .expected = moved(dims, to, [perm](const Index& i) {
             Index from(i.size());
             for (std::size_t d = 0; d < i.size(); ++d)
               from[static_cast<std::size_t>(perm[d])] = i[d];
             return from;
           })});
  }
  check({.type = "Tile",
         .inputs = {{2, 3}},
         .outputs = {{4, 9}},
         .params = {list("multiples", {2, 3})},
         .expected = moved({2, 3}, {4, 9}, [](const Index& i) {
           return Index{i[0] % 2, i[1] % 3};
         })});
  check({.type = "StridedSlice",
         .inputs = {{6, 7}},
         .outputs = {{3, 2}},
         .params = {signed_list("ranges", {0, 6, 2, 5, 1, -2}, {2, 3})},
         .expected = moved({6, 7}, {3, 2}, [](const Index& i) {
           return Index{2 * i[0], 5 - 2 * i[1]};
         })});
  check({.type = "Concat",
         .inputs = {{2, 3, 4}, {2, 1, 4}, {2, 2, 4}},
         .outputs = {{2, 6, 4}},
         .params = {integer("axis", 1)},
         .expected = [](const std::vector<Values>& in) {
           Values y;
           for (std::size_t r = 0; r < 2; ++r) {
             for (const Values& x : in) {
               const auto half = static_cast<std::ptrdiff_t>(x.size() / 2),
                          begin = static_cast<std::ptrdiff_t>(r) * half;
               y.insert(y.end(), x.begin() + begin, x.begin() + begin + half);
             }
           }
           return y;
         }});
  check({.type = "Split",
         .inputs = {{2, 6}},
         .outputs = {{2, 1}, {2, 3}, {2, 2}},
         .params = {integer("axis", 1), list("split_index", {1, 4})},
         .expected = [](const std::vector<Values>& in) {
           Values y;
           for (const auto& [begin, end] :
                std::vector<std::pair<std::size_t, std::size_t>>{{0, 1}, {1, 4}, {4, 6}}) {
             for (std::size_t r = 0; r < 2; ++r) {
               for (std::size_t i = begin; i < end; ++i) y.push_back(in[0][r * 6 + i]);
             }
           }
           return y;
         }});
}

TEST(Ops, Reduce) {
  for (const bool mean : {true, false}) {
    for (const bool keep : {true, false}) {
      check({.type = mean ? "ReduceMean" : "ReduceSum",
             .inputs = {{3, 4, 5}},
             .outputs = {keep ? Dims{1, 4, 1} : Dims{4}},
             .params = {list("axes", {0, 2}), boolean("keep_dims", keep)},
             .expected = [mean](const std::vector<Values>& in) {
               Values y(4, 0.0f);
               for (std::size_t i = 0; i < 60; ++i)
                 y[i / 5 % 4] += in[0][i] / (mean ? 15.0f : 1.0f);
               return y;
             }});
    }
  }
}

TEST(Ops, ReduceMax) {
  for (const bool keep : {true, false}) {
    check({.type = "ReduceMax",
           .inputs = {{3, 4, 5}},
           .outputs = {keep ? Dims{1, 4, 1} : Dims{4}},
           .params = {list("axes", {0, 2}), boolean("keep_dims", keep)},
           .expected = [](const std::vector<Values>& in) {
             Values y(4, -HUGE_VALF);
             for (std::size_t i = 0; i < 60; ++i) y[i / 5 % 4] = std::max(y[i / 5 % 4], in[0][i]);
             return y;
           }});
  }
}

TEST(Ops, ReduceMaxIsNanWhereAValueIs) {
  const float nan = std::nanf("");
  for (std::size_t at = 0; at < 3; ++at) {
    Client client;
    Graph graph(client.new_context(), "g");
    const auto x = graph.input("x", {2, 3}), y = graph.output("y", {2, 1});
    graph.op("ReduceMax", {x}, {y}, {list("axes", {1}), boolean("keep_dims", true)});
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), {{"x", {2, 3}, kF32}}, {{"y", {2, 1}, kF32}});
    Values values = {1, 2, 3, -4, -5, -6};
    values[at] = nan;
    executor.set("x", values);
    ASSERT_EQ(executor.run(), 0u);
    EXPECT_TRUE(std::isnan(executor.get("y")[0])) << at;
    EXPECT_EQ(executor.get("y")[1], -4.0f);
  }
}

TEST(Ops, BytesOfWhatDoesNotFit) {
  Client client;
  Graph graph(client.new_context(), "g");
  const Dims dims = {7};
  const auto x = graph.input("x", dims), y = graph.output("y", dims, kI8);
  graph.op("Cast", {x}, {y});
  ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
  Executor executor(graph.handle(), {{"x", dims, kF32}}, {{"y", dims, kI8}});
  executor.set("x", {127.9f, 128.0f, -129.0f, 1e30f, -HUGE_VALF, std::nanf(""), -0.9f});
  ASSERT_EQ(executor.run(), 0u);
  EXPECT_THAT(executor.get("y"), ::testing::ElementsAre(127, 127, -128, 127, -128, 0, 0));
}

TEST(Ops, Casts) {
  const Dims dims = {3, 5};
  const auto same = [](const std::vector<Values>& in) { return in[0]; };
  const auto truncated = [](const std::vector<Values>& in) {
    Values y = in[0];
    for (float& v : y) v = std::trunc(v);
    return y;
  };
  const auto cast = [&](Qnn_DataType_t from, Qnn_DataType_t to, const Function& expected) {
    check({.type = "Cast",
           .inputs = {dims},
           .outputs = {dims},
           .expected = expected,
           .low = -90,
           .high = 90,
           .input_types = {from},
           .output_types = {to}},
          kF16);
  };
  cast(kF16, kF32, same);
  cast(kF32, kF16, same);
  cast(kF32, kF32, same);
  cast(kF16, kI32, truncated);
  cast(kI32, kF16, same);
  cast(kBool, kF16, same);
  cast(kF32, kI8, truncated);
  cast(kF16, kI8, truncated);
  cast(kI8, kF32, same);
  cast(kI8, kF16, same);
}

TEST(Ops, GatherFromStaticAndComputedTables) {
  Client client;
  for (const bool is_static : {true, false}) {
    for (const Qnn_DataType_t type : {kF32, kF16}) {
      Graph graph(client.new_context(), "g");
      const Values table = from_bytes(to_bytes(Random(3).values(7 * 6, -1, 1), type), type);
      const auto t =
          is_static ? graph.constant({7, 6}, table, type) : graph.input("table", {7, 6}, type);
      const auto ids = graph.input("ids", {2, 2}, kI32);
      const auto y = graph.output("y", {2, 2, 6}, type);
      graph.op("Gather", {t, ids}, {y}, {integer("axis", 0)});
      ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
      std::vector<Edge> inputs = {{"ids", {2, 2}, kI32}};
      if (!is_static) inputs.push_back({"table", {7, 6}, type});
      Executor executor(graph.handle(), inputs, {{"y", {2, 2, 6}, type}});
      executor.set("ids", {6, 0, 3, 3});
      executor.set("table", table);
      ASSERT_EQ(executor.run(), 0u);
      Values expected;
      for (const std::size_t row : {6u, 0u, 3u, 3u})
        expected.insert(expected.end(), table.data() + row * 6, table.data() + row * 6 + 6);
      EXPECT_EQ(executor.get("y"), expected);
      executor.set("ids", {6, 0, 7, 3});
      EXPECT_NE(executor.run(), 0u);
      EXPECT_THAT(Client::take_log(), ::testing::HasSubstr("an index is outside the table"));
    }
  }
}

// Norms and rotary embedding have static or client operands: f16 ones are widened either way.
TEST(Ops, NormsAndRope) {
  const auto rms = [](const std::vector<Values>& in) {
    Values y = in[0];
    for (std::size_t r = 0; r < y.size() / 24; ++r) {
      double square = 0;
      for (std::size_t i = 0; i < 24; ++i) square += double{y[r * 24 + i]} * y[r * 24 + i];
      for (std::size_t i = 0; i < 24; ++i)
        y[r * 24 + i] *= static_cast<float>(1 / std::sqrt(square / 24 + 1e-5)) * in[1][i];
    }
    return y;
  };
  check({.type = "RmsNorm",
         .inputs = {{2, 5, 24}, {24}},
         .outputs = {{2, 5, 24}},
         .params = {number("epsilon", 1e-5), list("axes", {2})},
         .expected = rms});
  const auto layer = [](const std::vector<Values>& in) {
    Values y = in[0];
    for (std::size_t r = 0; r < y.size() / 24; ++r) {
      double mean = 0, square = 0;
      for (std::size_t i = 0; i < 24; ++i) mean += y[r * 24 + i] / 24.0;
      for (std::size_t i = 0; i < 24; ++i)
        square += (y[r * 24 + i] - mean) * (y[r * 24 + i] - mean);
      for (std::size_t i = 0; i < 24; ++i) {
        y[r * 24 + i] =
            static_cast<float>((y[r * 24 + i] - mean) / std::sqrt(square / 24 + 1e-5)) * in[1][i] +
            in[2][i];
      }
    }
    return y;
  };
  check({.type = "LayerNorm",
         .inputs = {{2, 5, 24}, {24}, {24}},
         .outputs = {{2, 5, 24}},
         .params = {number("epsilon", 1e-5), list("axes", {2})},
         .expected = layer});
  for (const bool interleaved : {false, true}) {
    check({.type = "RotaryEmbedding",
           .inputs = {{1, 3, 5, 12}, {1, 5, 6}, {1, 5, 6}},
           .outputs = {{1, 3, 5, 12}},
           .params = {boolean("interleaved", interleaved)},
           .expected = [interleaved](const std::vector<Values>& in) {
             Values y = in[0];
             for (std::size_t r = 0; r < 15; ++r) {
               for (std::size_t i = 0; i < 6; ++i) {
                 const std::size_t a = r * 12 + (interleaved ? 2 * i : i),
                                   b = interleaved ? a + 1 : a + 6;
                 const float c = in[1][r % 5 * 6 + i], s = in[2][r % 5 * 6 + i];
                 y[a] = in[0][a] * c - in[0][b] * s;
                 y[b] = in[0][b] * c + in[0][a] * s;
               }
             }
             return y;
           }});
  }
}

// ---- Linears ----

class LinearTest
    : public ::testing::TestWithParam<std::tuple<WeightForm, LinearForm, Qnn_DataType_t>> {};

TEST_P(LinearTest, EqualsPlainArithmetic) {
  const auto [weights, form, type] = GetParam();
  const bool is_matmul = form == LinearForm::kMatMul || form == LinearForm::kMatMulTransposed;
  if (weights == WeightForm::kW4Groups && is_matmul) return;  // refused: RefusalTest
  // f16 edges, weights and accumulation err by far less than quantized activations do.
  constexpr std::pair<const char*, double> kForms[] = {{"auto", 1e-3},  {"f32", 1e-3},
                                                       {"int16", 1e-3}, {"wide", 1e-2},
                                                       {"mixed", 1e-2}, {"int8", 1e-2}};
  for (const auto& [activations, tolerance] : kForms) {
    Client client({std::string("qhx.activations:") + activations});
    for (const std::uint32_t M : {1u, 3u, 70u}) {
      constexpr std::uint32_t K = 48, N = 37;
      Random random(21);
      const RandomWeight weight = random_weight(random, K, N, weights);
      const Values x = from_bytes(to_bytes(random.values(M * K, -1, 1), type), type);
      const Values bias = from_bytes(to_bytes(random.values(N, -1, 1), type), type);
      Graph graph(client.new_context(), "g");
      const bool conv = form == LinearForm::kConv2d;
      const Dims in = conv ? Dims{1, 1, M, K} : Dims{M, K},
                 out = conv ? Dims{1, 1, M, N} : Dims{M, N};
      std::vector<Graph::Id> inputs = {graph.input("x", in, type), add_weight(graph, weight, form)};
      if (!is_matmul) inputs.push_back(graph.constant({N}, bias, type));
      const auto y = graph.output("y", out, type);
      if (conv) {
        graph.op("Conv2d", inputs, {y},
                 {list("stride", {1, 1}), list("pad_amount", {0, 0, 0, 0}, {2, 2})});
      } else if (is_matmul) {
        const auto product = graph.native(out, type);
        graph.op("MatMul", inputs, {product},
                 {boolean("transpose_in1", form == LinearForm::kMatMulTransposed)});
        graph.op("ElementWiseBinary", {product, graph.constant({N}, bias, type)}, {y},
                 {integer("operation", 0)});
      } else {
        graph.op("FullyConnected", inputs, {y});
      }
      ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
      Executor executor(graph.handle(), {{"x", in, type}}, {{"y", out, type}});
      executor.set("x", x);
      ASSERT_EQ(executor.run(), 0u);
      Values expected = multiply(x, weight.dense, K, N);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += bias[i % N];
      EXPECT_LT(relative_error(executor.get("y"), expected), tolerance) << M << activations;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LinearTest,
    ::testing::Combine(::testing::Values(WeightForm::kF16, WeightForm::kF32, WeightForm::kW8,
                                         WeightForm::kW4, WeightForm::kW4Groups),
                       ::testing::Values(LinearForm::kConv2d, LinearForm::kMatMul,
                                         LinearForm::kMatMulTransposed,
                                         LinearForm::kFullyConnected),
                       ::testing::Values(kF32, kF16)));

// The forms differ in how the client writes them, not in what runs.
TEST(Linear, FormsGiveTheSameBits) {
  Client client;
  std::vector<Values> results;
  for (const LinearForm form : {LinearForm::kConv2d, LinearForm::kMatMul,
                                LinearForm::kMatMulTransposed, LinearForm::kFullyConnected}) {
    constexpr std::uint32_t M = 5, K = 48, N = 37;
    Random random(21);
    const RandomWeight weight = random_weight(random, K, N, WeightForm::kW8);
    Graph graph(client.new_context(), "g");
    const bool conv = form == LinearForm::kConv2d;
    const Dims in = conv ? Dims{1, 1, M, K} : Dims{M, K},
               out = conv ? Dims{1, 1, M, N} : Dims{M, N};
    const auto x = graph.input("x", in), w = add_weight(graph, weight, form),
               y = graph.output("y", out);
    graph.op(conv                                  ? "Conv2d"
             : form == LinearForm::kFullyConnected ? "FullyConnected"
                                                   : "MatMul",
             {x, w}, {y},
             form == LinearForm::kMatMulTransposed
                 ? std::vector<Param>{boolean("transpose_in1", true)}
                 : std::vector<Param>{});
    ASSERT_EQ(graph.finalize(), 0u) << Client::take_log();
    Executor executor(graph.handle(), {{"x", in, kF32}}, {{"y", out, kF32}});
    executor.set("x", random.values(M * K, -1, 1));
    ASSERT_EQ(executor.run(), 0u);
    results.push_back(executor.get("y"));
  }
  for (const Values& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace qhx::cpu::testing
