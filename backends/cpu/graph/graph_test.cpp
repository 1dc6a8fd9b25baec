// Pieces of graph/ that the C interface shows only from outside: memory plan, constants, metadata
// parser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "base/f16.h"
#include "graph/cbor.h"
#include "graph/constant.h"
#include "graph/plan.h"
#include "graph/rewrite.h"
#include "ops/operation.h"

namespace qhx::cpu {
namespace {

// ---- Operation numbers ----

TEST(Operation, OnlyNumbersOf32BitsAreOperations) {
  Node node{
      .name = "n", .type = "ElementWiseBinary", .attributes = {}, .inputs = {}, .outputs = {}};
  EXPECT_GT(binary_operation(node), qnn::Binary::kSubtract) << "absent";
  node.attributes.ints["operation"] = {13};
  EXPECT_EQ(binary_operation(node), qnn::Binary::kMultiply);
  // A context binary holds 64 bits: the lower half of these would be additions.
  for (const std::int64_t number : {std::int64_t{1} << 32, -(std::int64_t{1} << 32)}) {
    node.attributes.ints["operation"] = {number};
    EXPECT_GT(binary_operation(node), qnn::Binary::kSubtract) << number;
    EXPECT_GT(neuron_operation(node), qnn::Neuron::kTanh) << number;
    EXPECT_GT(unary_operation(node), qnn::Unary::kSqrt) << number;
  }
}

int add(Graph& graph, Role role, std::uint32_t size) {
  Tensor tensor;
  tensor.name = "t" + std::to_string(graph.tensors.size());
  tensor.role = role;
  tensor.dims = {size};
  graph.tensors.push_back(tensor);
  return static_cast<int>(graph.tensors.size()) - 1;
}

void add_node(Graph& graph, const std::string& type, std::vector<int> inputs,
              std::vector<int> outputs) {
  graph.nodes.push_back({.name = "n" + std::to_string(graph.nodes.size()),
                         .type = type,
                         .attributes = {},
                         .inputs = std::move(inputs),
                         .outputs = std::move(outputs)});
}

// ---- Precise linears ----

TEST(MarkPrecise, LinearsOfQueriesAndKeysAlone) {
  Graph graph;
  const auto native = [&] { return add(graph, Role::kNative, 8); };
  const int x = add(graph, Role::kInput, 8), cache = add(graph, Role::kInput, 8);
  const int qkv = native(), v = native(), rotated = native(), attended = native(), y = native();
  add_node(graph, "qhx.Linear", {x}, {qkv, v});
  add_node(graph, "qhx.Linear", {x}, {native()});
  add_node(graph, "qhx.HeadRope", {qkv}, {rotated});
  add_node(graph, "qhx.Attention", {rotated, cache, qkv, cache, v, -1}, {attended});
  add_node(graph, "qhx.Linear", {attended}, {y});
  const int scores = native(), sums = native(), weights = native();
  add_node(graph, "qhx.Linear", {y}, {scores});
  add_node(graph, "ElementWiseBinary", {scores, cache}, {sums});
  add_node(graph, "Softmax", {sums}, {weights});
  mark_precise(graph);
  using Marks = std::vector<std::int64_t>;
  std::vector<Marks> marks;
  for (const Node& node : graph.nodes) {
    const auto* const list = node.attributes.list("precise");
    marks.push_back(list == nullptr ? Marks{} : *list);
  }
  const Marks none, first = {1, 0}, all = {1};
  EXPECT_THAT(marks, ::testing::ElementsAre(first, none, none, none, none, all, none, none));
}

// ---- Memory plan ----

TEST(MemoryPlan, TensorsAliveTogetherNeverOverlap) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    Graph graph;
    std::vector<int> known = {add(graph, Role::kInput, 8)};
    for (int n = 0; n < 40; ++n) {
      std::vector<int> inputs;
      for (int i = 0; i < 2; ++i) inputs.push_back(known[random() % known.size()]);
      const bool view = random() % 3 == 0;
      const std::uint32_t size =
          view ? graph.tensors[static_cast<std::size_t>(inputs[0])].dims[0] : 1 + random() % 300;
      if (view) inputs.pop_back();
      known.push_back(add(graph, random() % 12 == 0 ? Role::kOutput : Role::kNative, size));
      add_node(graph, view ? "Reshape" : "Op", inputs, {known.back()});
    }
    const auto plan = plan_memory(graph);
    ASSERT_TRUE(plan.ok());
    std::vector<std::size_t> first(known.size(), ~std::size_t{0}), last(known.size(), 0);
    std::uint64_t sum = 0;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      for (const auto* list : {&graph.nodes[n].inputs, &graph.nodes[n].outputs}) {
        for (const int t : *list) {
          const auto root = static_cast<std::size_t>(plan->root[static_cast<std::size_t>(t)]);
          first[root] = std::min(first[root], n);
          last[root] = std::max(last[root], n);
        }
      }
    }
    for (std::size_t a = 0; a < known.size(); ++a) {
      if (graph.tensors[a].role != Role::kNative || plan->root[a] != static_cast<int>(a)) continue;
      const std::uint64_t a_begin = plan->arena_offset[a],
                          a_end = a_begin + graph.tensors[a].size_bytes();
      sum += graph.tensors[a].size_bytes();
      EXPECT_LE(a_end, plan->arena_bytes);
      EXPECT_EQ(a_begin % 64, 0u);
      for (std::size_t b = 0; b < a; ++b) {
        if (graph.tensors[b].role != Role::kNative || plan->root[b] != static_cast<int>(b))
          continue;
        if (first[a] > last[b] || first[b] > last[a]) continue;
        const std::uint64_t b_begin = plan->arena_offset[b],
                            b_end = b_begin + graph.tensors[b].size_bytes();
        EXPECT_TRUE(a_end <= b_begin || b_end <= a_begin)
            << a << " and " << b << " in round " << round;
      }
    }
    EXPECT_LT(plan->arena_bytes, sum + 64 * known.size());
  }
}

TEST(MemoryPlan, AChainNeedsTwoPlaces) {
  Graph graph;
  int last = add(graph, Role::kInput, 1000);
  for (int i = 0; i < 20; ++i) {
    const int next = add(graph, Role::kNative, 1000);
    add_node(graph, "Op", {last}, {next});
    last = next;
  }
  const auto plan = plan_memory(graph);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->arena_bytes, 2 * 4032u);
}

TEST(MemoryPlan, ViewsShareTheirPlace) {
  Graph graph;
  const int x = add(graph, Role::kInput, 64), a = add(graph, Role::kNative, 64),
            b = add(graph, Role::kNative, 64);
  const int y = add(graph, Role::kOutput, 64), z = add(graph, Role::kOutput, 64),
            w = add(graph, Role::kOutput, 64);
  add_node(graph, "Reshape", {x}, {a});  // shares the client's input
  add_node(graph, "Op", {a}, {b});
  add_node(graph, "Reshape", {b}, {y});  // b is written where y is
  add_node(graph, "Reshape", {b}, {z});  // a second result of the same: a copy
  add_node(graph, "Reshape", {a}, {w});  // from client to client: a copy
  const auto plan = plan_memory(graph);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->root, (std::vector<int>{x, x, y, y, z, w}));
  EXPECT_EQ(plan->arena_bytes, 0u);
}

TEST(MemoryPlan, RefusesWhatDoesNotFit) {
  Graph graph;
  const int x = add(graph, Role::kInput, 1), y = add(graph, Role::kNative, 0xFFFFFFFF);
  graph.tensors[static_cast<std::size_t>(y)].dims = {1u << 30, 1u << 6};
  add_node(graph, "Op", {x}, {y});
  EXPECT_EQ(plan_memory(graph).status().code(), StatusCode::kOutOfRange);
}

// ---- Constants ----

class ConstantTest : public ::testing::Test {
 protected:
  BlobStore blobs_;
  ThreadPool pool_{2};
  ConstantPool constants_;
  ConstantTools tools_{blobs_, pool_};
};

TEST_F(ConstantTest, EqualValuesAreOne) {
  const std::vector<float> a(100, 1.5f), b(100, 2.5f);
  const auto bytes = [](const std::vector<float>& v) { return std::as_bytes(std::span(v)); };
  const auto one = constants_.add(DType::kF32, {100}, {}, bytes(a));
  EXPECT_EQ(constants_.add(DType::kF32, {100}, {}, bytes(a)), one);
  EXPECT_NE(constants_.add(DType::kF32, {100}, {}, bytes(b)), one);
  EXPECT_NE(constants_.add(DType::kF32, {10, 10}, {}, bytes(a)), one);
  EXPECT_NE(constants_.add(DType::kI32, {100}, {}, bytes(a)), one);
  Quantization q;
  q.scales = {1.0f};
  EXPECT_NE(constants_.add(DType::kF32, {100}, q, bytes(a)), one);
}

TEST_F(ConstantTest, PackingLetsRawValuesGo) {
  constexpr std::size_t K = 20, N = 40;
  std::vector<std::uint16_t> halves(K * N);
  for (std::size_t i = 0; i < halves.size(); ++i)
    halves[i] = f32_to_f16(static_cast<float>(i) / 64.0f);
  const auto bytes = std::as_bytes(std::span(halves));
  Constant constant(DType::kF16, bytes, {});
  const PackedFormat format{.type = WeightType::kF16, .n = N, .k = K, .group = 0};
  const std::weak_ptr<const Blob> raw = constant.raw();
  const auto packed = constant.packed(format, WeightLayout::kInputMajor, tools_);
  ASSERT_NE(packed, nullptr);
  EXPECT_TRUE(raw.expired());
  EXPECT_EQ(constant.packed(format, WeightLayout::kInputMajor, tools_), packed);
  const auto again = constant.raw();  // rebuilt for another use, bit for bit
  ASSERT_EQ(again->bytes().size(), bytes.size());
  EXPECT_EQ(std::memcmp(again->data(), bytes.data(), bytes.size()), 0);

  Quantization q{.kind = Quantization::Kind::kPerChannel,
                 .axis = 1,
                 .group = 0,
                 .scales = std::vector<float>(N, 1.0f)};
  const std::vector<std::byte> integers(K * N, std::byte{3});
  Constant quantized(DType::kI8, integers, q);
  const PackedFormat int8{.type = WeightType::kI8, .n = N, .k = K, .group = 0};
  EXPECT_NE(quantized.packed(int8, WeightLayout::kInputMajor, tools_), nullptr);
  EXPECT_EQ(quantized.raw(), nullptr);
}

TEST_F(ConstantTest, BlobsOfEqualPaddingAndOtherSizeStayApart) {
  const auto blob = [](std::size_t size) {
    return std::make_shared<Blob>(blob_buffer(size), size);
  };
  const auto a = blobs_.intern(blob(100)), b = blobs_.intern(blob(101));
  EXPECT_NE(a, b);
  EXPECT_EQ(blobs_.intern(blob(100)), a);
}

// ---- Metadata ----

std::vector<std::byte> as_bytes(const std::vector<std::uint8_t>& v) {
  std::vector<std::byte> out(v.size());
  if (!v.empty()) std::memcpy(out.data(), v.data(), v.size());
  return out;
}

TEST(Cbor, ReadsWhatIsWritten) {
  const nlohmann::json json = {
      {"a", {1, -2, 3.5, "x", true}}, {"b", {{"c", nlohmann::json::object()}}}, {"n", nullptr}};
  const auto read = parse_cbor(as_bytes(nlohmann::json::to_cbor(json)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, json);
}

TEST(Cbor, HostileBytesAreErrors) {
  const std::vector<std::vector<std::uint8_t>> inputs = {
      {},
      std::vector<std::uint8_t>(1 << 20, 0x81),                // nested lists
      std::vector<std::uint8_t>(1 << 20, 0x9F),                // of unknown length
      std::vector<std::uint8_t>(1 << 20, 0xC1),                // tags
      {0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},  // a list of 2^64 - 1
      {0x7B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},  // a string of 2^64 - 1
      {0xBB, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
      {0x01, 0x01},        // two values
      {0x42, 0x00, 0x00},  // bytes
      {0x62, 0xFF, 0xFE},  // not UTF-8
  };
  for (std::size_t i = 0; i < inputs.size() - 1; ++i)
    EXPECT_FALSE(parse_cbor(as_bytes(inputs[i])).ok()) << i;
  static_cast<void>(parse_cbor(as_bytes(inputs.back())));
}

}  // namespace
}  // namespace qhx::cpu
