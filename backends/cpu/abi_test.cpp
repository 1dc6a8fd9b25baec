// The C interface itself: table, handles, options, and what it refuses.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

using ::testing::HasSubstr;
constexpr auto kF32 = QNN_DATATYPE_FLOAT_32;
constexpr auto kF16 = QNN_DATATYPE_FLOAT_16;
constexpr Qnn_ErrorHandle_t kRefused = QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE;

TEST(Table, HasNoNullSlot) {
  for (const auto& [table, size] :
       {std::pair<const void*, std::size_t>{&Client::api(), sizeof(Client::api())},
        {&Client::system_api(), sizeof(Client::system_api())}}) {
    std::vector<void*> slots(size / sizeof(void*));
    std::memcpy(slots.data(), table, size);
    for (std::size_t i = 0; i < slots.size(); ++i) EXPECT_NE(slots[i], nullptr) << i;
  }
  EXPECT_EQ(Client::api().propertyHasCapability(1), QNN_COMMON_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(Client::api().memRegister(nullptr, nullptr, 0, nullptr),
            QNN_COMMON_ERROR_NOT_SUPPORTED);
}

TEST(Table, SaysWhatItIs) {
  const char* id = nullptr;
  ASSERT_EQ(Client::api().backendGetBuildId(&id), 0u);
  EXPECT_THAT(id, HasSubstr("qhx-cpu v"));
  Qnn_ApiVersion_t version{};
  ASSERT_EQ(Client::api().backendGetApiVersion(&version), 0u);
  EXPECT_EQ(version.coreApiVersion.major, 2u);
  EXPECT_EQ(version.coreApiVersion.minor, 32u);
  Client client;
  std::uint32_t count = 0;
  const QnnBackend_OperationName_t* names = nullptr;
  ASSERT_EQ(Client::api().backendGetSupportedOperations(client.backend(), &count, &names), 0u);
  std::vector<std::string> list;
  for (std::uint32_t i = 0; i < count; ++i) list.emplace_back(names[i].name);
  EXPECT_THAT(
      list, ::testing::IsSupersetOf({"MatMul", "Conv2d", "FullyConnected", "RmsNorm", "Softmax"}));
}

TEST(Errors, HaveMessages) {
  for (const Qnn_ErrorHandle_t error :
       {QNN_SUCCESS, QNN_COMMON_ERROR_NOT_SUPPORTED, kRefused, QNN_GRAPH_ERROR_UNCONNECTED_NODE,
        QNN_GRAPH_ERROR_NOT_FINALIZED, QNN_CONTEXT_ERROR_BINARY_INVALID,
        QNN_CONTEXT_ERROR_BINARY_TRUNCATED}) {
    const char* message = nullptr;
    EXPECT_EQ(Client::api().errorGetMessage(error, &message), 0u);
    ASSERT_NE(message, nullptr);
    EXPECT_GT(std::strlen(message), 0u);
  }
  const char* message = nullptr;
  EXPECT_NE(Client::api().errorGetMessage(123456, &message), 0u);
}

TEST(Handles, StaleAndForeignOnesAreRefused) {
  const auto& api = Client::api();
  int local = 0;
  for (void* handle : {static_cast<void*>(nullptr), static_cast<void*>(&local)}) {
    EXPECT_NE(api.backendFree(handle), 0u);
    EXPECT_NE(api.contextFree(handle, nullptr), 0u);
    EXPECT_NE(api.logFree(handle), 0u);
    EXPECT_NE(api.deviceFree(handle), 0u);
    EXPECT_NE(api.profileFree(handle), 0u);
    Qnn_ContextHandle_t context = nullptr;
    EXPECT_NE(api.contextCreate(handle, nullptr, nullptr, &context), 0u);
    EXPECT_EQ(api.graphFinalize(handle, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);
    EXPECT_EQ(api.graphExecute(handle, nullptr, 0, nullptr, 0, nullptr, nullptr),
              QNN_GRAPH_ERROR_INVALID_HANDLE);
    EXPECT_NE(Client::system_api().systemContextFree(handle), 0u);
  }
  Client client;
  Qnn_ContextHandle_t context = nullptr;
  ASSERT_EQ(api.contextCreate(client.backend(), nullptr, nullptr, &context), 0u);
  Qnn_GraphHandle_t graph = nullptr;
  ASSERT_EQ(api.graphCreate(context, "g", nullptr, &graph), 0u);
  EXPECT_NE(api.contextFree(graph, nullptr), 0u) << "a graph is not a context";
  EXPECT_EQ(api.contextFree(context, nullptr), 0u);
  EXPECT_NE(api.contextFree(context, nullptr), 0u);
  EXPECT_EQ(api.graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);
}

TEST(Options, OfTheBackend) {
  EXPECT_EQ(Client({"qhx.threads:1", "qhx.target:scalar"}).create_error(), 0u);
  EXPECT_THAT(Client::take_log(), HasSubstr("target scalar, 1 threads"));
  EXPECT_EQ(Client({"somebody.else:1"}).create_error(), 0u);
  for (const char* option : {"qhx.thread:1", "qhx.threads:many", "qhx.threads:-1",
                             "qhx.threads:", "qhx.target:mmx", "qhx.fuse:2"}) {
    Client::take_log();
    EXPECT_EQ(Client({option}).create_error(), QNN_BACKEND_ERROR_CANNOT_INITIALIZE) << option;
    EXPECT_THAT(Client::take_log(), HasSubstr("backendCreate: ")) << option;
  }
  setenv("QHX_CPU_THREADS", "1", 1);
  EXPECT_EQ(Client().create_error(), 0u);
  EXPECT_THAT(Client::take_log(), HasSubstr("1 threads"));
  setenv("QHX_CPU_THREADS", "x", 1);
  EXPECT_NE(Client().create_error(), 0u);
  unsetenv("QHX_CPU_THREADS");
}

TEST(Device, TakesNoConfig) {
  const auto& api = Client::api();
  Qnn_DeviceHandle_t device = nullptr;
  EXPECT_EQ(api.deviceCreate(nullptr, nullptr, &device), 0u);
  EXPECT_EQ(api.deviceFree(device), 0u);
  QnnDevice_Config_t config{};
  const QnnDevice_Config_t* configs[] = {&config, nullptr};
  EXPECT_EQ(api.deviceCreate(nullptr, configs, &device), QNN_DEVICE_ERROR_INVALID_CONFIG);
}

// ---- Building and executing ----

// x [1, 1, 2, 16] -> Conv2d -> y [1, 1, 2, 32]
class SmallGraph : public ::testing::Test {
 protected:
  static constexpr std::uint32_t K = 16, N = 32, M = 2;
  Client client_;
  Qnn_ContextHandle_t context_ = client_.new_context();
  Graph graph_{context_, "g"};
  Random random_{1};
  RandomWeight weight_ = random_weight(random_, K, N, WeightForm::kW8);
  Graph::Id x_ = graph_.input("x", {1, 1, M, K}), y_ = graph_.output("y", {1, 1, M, N});

  void add_conv() {
    graph_.op("Conv2d", {x_, add_weight(graph_, weight_, LinearForm::kConv2d)}, {y_});
  }
  Executor executor() const {
    return Executor(graph_.handle(), {{"x", {1, 1, M, K}, kF32}}, {{"y", {1, 1, M, N}, kF32}});
  }
};

TEST_F(SmallGraph, StatesAreKept) {
  add_conv();
  Executor early = executor();
  EXPECT_EQ(early.run(), QNN_GRAPH_ERROR_NOT_FINALIZED);
  Qnn_ContextBinarySize_t size = 0;
  EXPECT_EQ(Client::api().contextGetBinarySize(context_, &size),
            QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  ASSERT_EQ(graph_.finalize(), 0u) << Client::take_log();
  EXPECT_EQ(Client::api().graphFinalize(graph_.handle(), nullptr, nullptr),
            QNN_COMMON_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(early.run(), 0u);
  Qnn_Tensor_t late = graph_.tensor(x_);
  late.v1.name = "late";
  EXPECT_EQ(Client::api().tensorCreateGraphTensor(graph_.handle(), &late),
            QNN_TENSOR_ERROR_INVALID_TENSOR);
  EXPECT_NE(graph_.add("Reshape", {x_}, {y_}), 0u);
}

TEST_F(SmallGraph, NamesAreUnique) {
  Qnn_GraphHandle_t other = nullptr;
  EXPECT_EQ(Client::api().graphCreate(context_, "g", nullptr, &other),
            QNN_GRAPH_ERROR_INVALID_NAME);
  EXPECT_EQ(Client::api().graphRetrieve(context_, "h", &other), QNN_GRAPH_ERROR_INVALID_NAME);
  EXPECT_EQ(Client::api().graphRetrieve(context_, "g", &other), 0u);
  EXPECT_EQ(other, graph_.handle());
  Qnn_Tensor_t again = graph_.tensor(x_);
  EXPECT_EQ(Client::api().tensorCreateGraphTensor(graph_.handle(), &again),
            QNN_TENSOR_ERROR_INVALID_TENSOR);
  EXPECT_THAT(Client::take_log(), HasSubstr("tensor 'x': the name is used already"));
}

TEST_F(SmallGraph, ProducersComeFirst) {
  const auto t = graph_.native({1, 1, M, N});
  EXPECT_EQ(graph_.add("Reshape", {t}, {y_}), QNN_GRAPH_ERROR_UNCONNECTED_NODE);
  EXPECT_EQ(graph_.add("Reshape", {x_}, {x_}), kRefused) << "an input is not produced";
  EXPECT_EQ(Client::api().graphFinalize(graph_.handle(), nullptr, nullptr), 6011u)
      << "nothing makes y";
}

TEST_F(SmallGraph, TensorsAreIdentifiedById) {
  Qnn_Tensor_t a = graph_.tensor(x_), b = graph_.tensor(y_);
  EXPECT_NE(a.v1.id, 0u);
  EXPECT_NE(a.v1.id, b.v1.id);
  Graph other(context_, "other");
  EXPECT_GT(other.tensor(other.input("x", {4})).v1.id, b.v1.id) << "unique in the context";
}

TEST_F(SmallGraph, StaticDataIsCopied) {
  const auto w = add_weight(graph_, weight_, LinearForm::kConv2d);
  // The client's buffer goes away after the call.
  std::memset(graph_.tensor(w).v1.clientBuf.data, 0x55, K * N);
  graph_.op("Conv2d", {x_, w}, {y_});
  ASSERT_EQ(graph_.finalize(), 0u);
  Executor run = executor();
  const Values x = random_.values(M * K, -1, 1);
  run.set("x", x);
  ASSERT_EQ(run.run(), 0u);
  EXPECT_LT(relative_error(run.get("y"), multiply(x, weight_.dense, K, N)), 1e-3);
}

TEST_F(SmallGraph, ExecuteChecksItsBuffers) {
  add_conv();
  ASSERT_EQ(graph_.finalize(), 0u);
  const Dims in = {1, 1, M, K}, out = {1, 1, M, N};
  const auto run = [&](std::vector<Edge> inputs, std::vector<Edge> outputs) {
    return Executor(graph_.handle(), std::move(inputs), std::move(outputs)).run();
  };
  EXPECT_EQ(run({{"x", in, kF32}}, {{"y", out, kF32}}), 0u);
  EXPECT_EQ(run({}, {{"y", out, kF32}}), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(run({{"x", in, kF32}}, {}), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(run({{"z", in, kF32}}, {{"y", out, kF32}}), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(run({{"x", in, kF16}}, {{"y", out, kF32}}), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(run({{"x", {1, M, 1, K}, kF32}}, {{"y", out, kF32}}), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  Client::take_log();
  Executor shorter = executor();
  shorter.bytes("y").resize(M * N * 4 - 1);
  EXPECT_EQ(shorter.run(), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(Client::take_log(),
              HasSubstr("tensor 'y': expected a buffer of 256 bytes, found 255"));
}

TEST_F(SmallGraph, ProfileGivesTimes) {
  add_conv();
  ASSERT_EQ(graph_.finalize(), 0u);
  Qnn_ProfileHandle_t profile = nullptr;
  EXPECT_EQ(Client::api().profileCreate(client_.backend(), 7001, &profile),
            QNN_COMMON_ERROR_NOT_SUPPORTED);
  ASSERT_EQ(Client::api().profileCreate(client_.backend(), 1, &profile), 0u);
  ASSERT_EQ(executor().run(profile), 0u);
  const std::uint64_t* events = nullptr;
  std::uint32_t count = 0;
  ASSERT_EQ(Client::api().profileGetEvents(profile, &events, &count), 0u);
  ASSERT_EQ(count, 1u);
  QnnProfile_EventData_t data{};
  ASSERT_EQ(Client::api().profileGetEventData(events[0], &data), 0u);
  EXPECT_STREQ(data.identifier, "g");
  EXPECT_EQ(Client::api().profileFree(profile), 0u);
}

TEST_F(SmallGraph, ADetailedProfileNamesNodesAndTheirTypes) {
  add_conv();
  ASSERT_EQ(graph_.finalize(), 0u);
  Qnn_ProfileHandle_t profile = nullptr;
  ASSERT_EQ(Client::api().profileCreate(client_.backend(), 2, &profile), 0u);
  ASSERT_EQ(executor().run(profile), 0u);
  const std::uint64_t *events = nullptr, *nodes = nullptr;
  std::uint32_t count = 0;
  ASSERT_EQ(Client::api().profileGetEvents(profile, &events, &count), 0u);
  ASSERT_EQ(Client::api().profileGetSubEvents(events[0], &nodes, &count), 0u);
  ASSERT_EQ(count, 1u);
  QnnProfile_EventData_t data{};
  ASSERT_EQ(Client::api().profileGetEventData(nodes[0], &data), 0u);
  EXPECT_TRUE(std::string_view(data.identifier).ends_with(":qhx.Linear")) << data.identifier;
  EXPECT_EQ(Client::api().profileFree(profile), 0u);
}

// ---- What HTP takes and computes wrongly, and what makes no sense ----

class RefusalTest : public SmallGraph {
 protected:
  // Neither validation nor addition takes it, and the log says why.
  void expect_refused(const std::string& type, std::vector<Graph::Id> inputs,
                      std::vector<Graph::Id> outputs, std::vector<Param> params,
                      const std::string& why) {
    Client::take_log();
    EXPECT_EQ(graph_.validate(client_, type, inputs, outputs, params), kRefused)
        << type << " " << why;
    EXPECT_THAT(Client::take_log(), HasSubstr(why));
    expect_not_added(type, inputs, outputs, params, why);
  }
  void expect_not_added(const std::string& type, std::vector<Graph::Id> inputs,
                        std::vector<Graph::Id> outputs, std::vector<Param> params,
                        const std::string& why) {
    Client::take_log();
    EXPECT_NE(graph_.add(type, inputs, outputs, params), 0u) << type << " " << why;
    EXPECT_THAT(Client::take_log(), HasSubstr(why));
  }
  Weight int8_weight(Dims dims, std::int32_t axis) {
    Weight weight{
        .dims = dims, .values = std::vector<std::int8_t>(count_of(dims), 3), .axis = axis};
    weight.scales.assign(dims[static_cast<std::size_t>(axis)], 0.1f);
    return weight;
  }
};

TEST_F(RefusalTest, Offsets) {
  Weight weight = int8_weight({1, 1, K, N}, 3);
  weight.offsets.assign(N, 0);
  weight.offsets[N - 1] = 1;
  expect_refused("Conv2d", {x_, graph_.weight(weight)}, {y_}, {}, "only symmetric weights");
}

TEST_F(RefusalTest, WrongAxis) {
  expect_refused("Conv2d", {x_, graph_.weight(int8_weight({1, 1, K, N}, 2))}, {y_}, {},
                 "expected scales along axis 3, found axis 2");
}

TEST_F(RefusalTest, PerTensorAndUnsignedWeights) {
  Weight weight = int8_weight({1, 1, K, N}, 3);
  weight.encoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  expect_refused("Conv2d", {x_, graph_.weight(weight)}, {y_}, {},
                 "expected one scale per output channel");
  Qnn_Tensor_t t = graph_.tensor(graph_.weight(int8_weight({1, 1, K, N}, 3)));
  t.v1.name = "unsigned";
  t.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  ASSERT_EQ(Client::api().tensorCreateGraphTensor(graph_.handle(), &t), 0u);
  const auto w = graph_.weight(int8_weight({1, 1, K, N}, 3));
  graph_.tensor(w) = t;
  expect_refused("Conv2d", {x_, w}, {y_}, {}, "expected FLOAT_16, FLOAT_32 or SFIXED_POINT_8");
}

TEST_F(RefusalTest, BlocksOnMatMulAndBeyondFourBits) {
  Weight weight{.dims = {K, N},
                .values = std::vector<std::int8_t>(K * N, 3),
                .encoding = QNN_QUANTIZATION_ENCODING_BLOCK};
  weight.block = {8, 1};
  weight.scales.assign(K / 8 * N, 0.1f);
  const auto a = graph_.input("a", {M, K}), c = graph_.output("c", {M, N});
  expect_refused("MatMul", {a, graph_.weight(weight)}, {c}, {},
                 "BLOCK encoding is not supported by this op");
  weight.dims = {1, 1, K, N};
  weight.block = {1, 1, 8, 1};
  weight.values[100] = 8;
  expect_not_added("Conv2d", {x_, graph_.weight(weight)}, {y_}, {},
                   "expected values -7 to 7, found 8");
  weight.values[100] = -8;
  expect_not_added("Conv2d", {x_, graph_.weight(weight)}, {y_}, {},
                   "expected values -7 to 7, found -8");
  weight.block = {1, 1, 1, 8};
  weight.scales.assign(K * N / 8, 0.1f);
  weight.values[100] = 0;
  expect_refused("Conv2d", {x_, graph_.weight(weight)}, {y_}, {},
                 "expected blocks along axis 2, found axis 3");
}

TEST_F(RefusalTest, RmsNormWithBeta) {
  const auto gamma = graph_.constant({K}, Values(K, 1)), beta = graph_.constant({K}, Values(K, 1));
  const auto n = graph_.native({1, 1, M, K});
  expect_refused("RmsNorm", {x_, gamma, beta}, {n}, {list("axes", {3})}, "beta is not supported");
  expect_refused("RmsNorm", {x_, gamma}, {n}, {list("axes", {2})}, "expected the last axis");
  expect_refused("RmsNorm", {x_, beta}, {y_}, {list("axes", {3})},
                 "expected dimensions [1, 1, 2, 16]");
}

TEST_F(RefusalTest, ShapesTypesAndParameters) {
  const auto same = graph_.native({1, 1, M, K}), half = graph_.native({1, 1, M, K}, kF16);
  const auto wide = graph_.constant({1, 1, K + 1, N}, Values((K + 1) * N, 1));
  const auto kernel = graph_.constant({2, 1, K, N}, Values(2 * K * N, 1));
  const auto w = graph_.constant({1, 1, K, N}, Values(K * N, 1));
  expect_refused("Conv2d", {x_, wide}, {y_}, {}, "expected 16 input channels");
  expect_refused("Conv2d", {x_, kernel}, {y_}, {}, "expected a 1x1 kernel");
  expect_refused("Conv2d", {x_, w}, {y_}, {list("stride", {2, 2})},
                 "only 1x1 convolutions without padding");
  expect_refused("Conv2d", {x_, w}, {same}, {}, "expected dimensions [1, 1, 2, 32]");
  expect_refused("Conv2d", {x_}, {y_}, {}, "expected 2 to 3 inputs, found 1");
  expect_refused("Conv2d", {x_, w}, {y_}, {integer("dilatation", 1)},
                 "unknown parameter 'dilatation'");
  expect_refused("Gelu", {x_}, {half}, {}, "expected type f16 like the output");
  expect_refused("ElementWiseNeuron", {x_}, {same}, {integer("operation", 9)},
                 "expected 0 to 8, found 9");
  expect_refused("ElementWiseUnary", {x_}, {same}, {integer("operation", 10)},
                 "unsupported value 10");
  expect_refused("ElementWiseBinary", {x_, x_}, {same}, {integer("operation", 1)},
                 "unsupported value 1");
  expect_refused("ElementWiseBinary", {x_, x_}, {same}, {}, "unsupported value -1");
  expect_refused("Softmax", {x_}, {same}, {integer("axis", 2)}, "expected the last axis");
  expect_refused("Reshape", {x_}, {y_}, {}, "expected as many elements");
  expect_refused("Transpose", {x_}, {same}, {list("perm", {0, 1, 2, 2})},
                 "expected each axis once");
  expect_refused("Convert", {x_}, {same}, {}, "unknown operation");
  expect_refused("qhx.Silu", {x_}, {same}, {}, "unknown operation");
  expect_refused("StridedSlice", {x_}, {same},
                 {signed_list("ranges", {0, 1, 1, 0, 1, 1, 0, 2, 0, 0, 16, 1}, {4, 3})},
                 "nothing selected on axis 2");
  expect_refused("Tile", {x_}, {same}, {list("multiples", {0, 1, 1, 1})}, "out of range");
}

TEST_F(RefusalTest, Tensors) {
  const auto create = [&](auto change) {
    Client::take_log();
    Qnn_Tensor_t t = graph_.tensor(x_);
    t.v1.name = "new";
    change(t);
    return Client::api().tensorCreateGraphTensor(graph_.handle(), &t);
  };
  const Qnn_ErrorHandle_t bad = QNN_TENSOR_ERROR_INVALID_TENSOR;
  Dims zero = {1, 0, 2, 16}, huge = {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF};
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.dataType = QNN_DATATYPE_SFIXED_POINT_4; }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.dataType = static_cast<Qnn_DataType_t>(0x777); }),
            bad);
  EXPECT_THAT(Client::take_log(), HasSubstr("data type 0x777 is not supported"));
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.dataType = QNN_DATATYPE_SFIXED_POINT_8; }), bad);
  EXPECT_THAT(Client::take_log(), HasSubstr("SFIXED_POINT_8 is for static weights"));
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.type = static_cast<Qnn_TensorType_t>(9); }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.rank = 0; }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.rank = 9; }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.dimensions = nullptr; }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.name = nullptr; }), bad);
  EXPECT_EQ(create([&](Qnn_Tensor_t& t) { t.v1.dimensions = zero.data(); }), bad);
  EXPECT_EQ(create([&](Qnn_Tensor_t& t) { t.v1.dimensions = huge.data(); }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.version = static_cast<Qnn_TensorVersion_t>(3); }), bad);
  EXPECT_EQ(create([](Qnn_Tensor_t& t) { t.v1.type = QNN_TENSOR_TYPE_STATIC; }), bad)
      << "no values";
  float few[4] = {};
  EXPECT_EQ(create([&](Qnn_Tensor_t& t) {
              t.v1.type = QNN_TENSOR_TYPE_STATIC;
              t.v1.clientBuf = {few, sizeof(few)};
            }),
            bad);
  EXPECT_THAT(Client::take_log(), HasSubstr("expected 128 bytes of values, found 16"));
  EXPECT_EQ(create([](Qnn_Tensor_t&) {}), 0u);
}

// ---- Threads ----

TEST(Threads, SeveralExecuteTogether) {
  Client client({"qhx.threads:2"});
  const Qnn_ContextHandle_t context = client.new_context();
  Graph a(context, "a"), b(context, "b");
  const Decoder da = build_decoder(a, kTinyDecoder, 3), db = build_decoder(b, kTinyDecoder, 3);
  ASSERT_EQ(a.finalize(), 0u);
  ASSERT_EQ(b.finalize(), 0u);
  const auto inputs = decoder_inputs(kTinyDecoder, 5, 9);
  const auto work = [&](Graph& graph, const Decoder& decoder, Values& y) {
    Executor executor(graph.handle(), decoder.edges.inputs, decoder.edges.outputs);
    for (const auto& [name, values] : inputs) executor.set(name, values);
    for (int i = 0; i < 20; ++i) {
      if (executor.run() != 0) return;
    }
    y = executor.get("y");
  };
  std::vector<Values> results(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] { work(i % 2 == 0 ? a : b, i % 2 == 0 ? da : db, results[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_FALSE(results[0].empty());
  for (const Values& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace qhx::cpu::testing
