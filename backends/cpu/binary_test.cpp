// Context binaries: what they share, that they come back the same, and that no damage goes
// unnoticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

using Named = std::map<std::string, Values>;
using ::testing::HasSubstr;

Named run(Qnn_GraphHandle_t graph, const ModelEdges& edges, const Named& inputs,
          Qnn_ErrorHandle_t expected = 0) {
  Executor executor(graph, edges.inputs, edges.outputs);
  for (const auto& [name, values] : inputs) executor.set(name, values);
  EXPECT_EQ(executor.run(), expected) << Client::take_log();
  Named outputs;
  for (const Edge& edge : edges.outputs) outputs[edge.name] = executor.get(edge.name);
  return outputs;
}

// A buffer on a page, as a mapped file is.
class Mapped {
 public:
  explicit Mapped(const std::vector<std::byte>& bytes) : size_(bytes.size()) {
    data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(4096, (bytes.size() + 4095) / 4096 * 4096)));
    std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  std::byte& operator[](std::size_t i) { return data_.get()[i]; }
  Qnn_ErrorHandle_t load(Client& client, Qnn_ContextHandle_t& context, std::size_t size) {
    QnnContext_Config_t config{};
    config.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
    config.isPersistentBinary = 1;
    const QnnContext_Config_t* configs[] = {&config, nullptr};
    return Client::api().contextCreateFromBinary(client.backend(), nullptr, configs, data_.get(),
                                                 size, &context, nullptr);
  }
  Qnn_ErrorHandle_t load(Client& client, Qnn_ContextHandle_t& context) {
    return load(client, context, size_);
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

struct Built {
  Decoder prefill, decode;
  std::vector<std::byte> binary;
  Named prefill_out, decode_out;
};

Built build(Client& client, bool with_decode, const DecoderShape& shape = kTinyDecoder) {
  Built built;
  const Qnn_ContextHandle_t context = client.new_context();
  Graph prefill(context, "prefill");
  built.prefill = build_decoder(prefill, shape, 3);
  EXPECT_EQ(prefill.finalize(), 0u) << Client::take_log();
  built.prefill_out = run(prefill.handle(), built.prefill.edges, decoder_inputs(shape, 4, 5));
  if (with_decode) {
    DecoderShape one = shape;
    one.tokens = 1;
    Graph decode(context, "decode");
    built.decode = build_decoder(decode, one, 3);
    EXPECT_EQ(decode.finalize(), 0u) << Client::take_log();
    built.decode_out = run(decode.handle(), built.decode.edges, decoder_inputs(one, 4, 5));
  }
  built.binary = client.binary_of(context);
  return built;
}

TEST(Binary, ComesBackBitForBit) {
  for (const auto type : {QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_FLOAT_16}) {
    DecoderShape shape = kTinyDecoder;
    shape.activations = type;
    Client client;
    const Built built = build(client, true, shape);
    ASSERT_FALSE(built.binary.empty()) << Client::take_log();
    DecoderShape one = shape;
    one.tokens = 1;
    for (const bool in_place : {true, false}) {
      Client other;
      Mapped mapped(built.binary);
      Qnn_ContextHandle_t context = nullptr;
      if (in_place) {
        ASSERT_EQ(mapped.load(other, context), 0u) << Client::take_log();
      } else {
        std::vector<std::byte> copy = built.binary;
        ASSERT_EQ(other.load(copy, false, context), 0u) << Client::take_log();
        std::fill(copy.begin(), copy.end(), std::byte{0});
      }
      Qnn_GraphHandle_t prefill = nullptr, decode = nullptr;
      ASSERT_EQ(Client::api().graphRetrieve(context, "prefill", &prefill), 0u);
      ASSERT_EQ(Client::api().graphRetrieve(context, "decode", &decode), 0u);
      EXPECT_EQ(run(prefill, built.prefill.edges, decoder_inputs(shape, 4, 5)), built.prefill_out);
      EXPECT_EQ(run(decode, built.decode.edges, decoder_inputs(one, 4, 5)), built.decode_out);
      Qnn_ContextBinarySize_t size = 0;
      EXPECT_EQ(Client::api().contextGetBinarySize(context, &size),
                QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
      if (in_place) {
        EXPECT_EQ(Client::api().contextFree(context, nullptr), 0u);
      }
    }
  }
}

TEST(Binary, IsDeterministic) {
  Client one({"qhx.threads:1"}), two({"qhx.threads:2"});
  EXPECT_EQ(build(one, true).binary, build(two, true).binary);
}

TEST(Binary, GraphsShareWeights) {
  DecoderShape shape = kTinyDecoder;
  shape.hidden = 128;
  shape.ffn = 256;
  Client client;
  const std::size_t alone = build(client, false, shape).binary.size(),
                    both = build(client, true, shape).binary.size();
  EXPECT_LT(both, alone + 16 * 1024) << "one copy of the weights, a second graph's metadata";
}

TEST(Binary, FormsOfALinearShareWeights) {
  const auto size_of = [](std::vector<LinearForm> forms) {
    Client client;
    const Qnn_ContextHandle_t context = client.new_context();
    Random random(1);
    const RandomWeight weight = random_weight(random, 256, 512, WeightForm::kW8);
    for (std::size_t i = 0; i < forms.size(); ++i) {
      Graph graph(context, "g" + std::to_string(i));
      const bool conv = forms[i] == LinearForm::kConv2d;
      const auto x = graph.input("x", conv ? Dims{1, 1, 2, 256} : Dims{2, 256});
      const auto w = add_weight(graph, weight, forms[i]);
      const auto y = graph.output("y", conv ? Dims{1, 1, 2, 512} : Dims{2, 512});
      graph.op(conv                              ? "Conv2d"
               : forms[i] == LinearForm::kMatMul ? "MatMul"
                                                 : "FullyConnected",
               {x, w}, {y});
      EXPECT_EQ(graph.finalize(), 0u) << Client::take_log();
    }
    return client.binary_of(context).size();
  };
  EXPECT_LE(size_of({LinearForm::kConv2d, LinearForm::kMatMul, LinearForm::kFullyConnected}),
            size_of({LinearForm::kConv2d}) + 4096);
}

TEST(Binary, MetadataWithoutWeights) {
  Client client;
  const Built built = build(client, true);
  const auto& system = Client::system_api();
  QnnSystemContext_Handle_t handle = nullptr;
  ASSERT_EQ(system.systemContextCreate(&handle), 0u);
  // The first pages alone: no weight is there.
  std::uint64_t sections_offset = 0;
  std::memcpy(&sections_offset, built.binary.data() + 40, sizeof(sections_offset));
  ASSERT_LT(sections_offset, built.binary.size());
  std::vector<std::byte> head(built.binary.begin(),
                              built.binary.begin() + static_cast<std::ptrdiff_t>(sections_offset));
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  Qnn_ContextBinarySize_t size = 0;
  ASSERT_EQ(system.systemContextGetBinaryInfo(handle, head.data(), head.size(), &info, &size), 0u);
  std::fill(head.begin(), head.end(), std::byte{0});
  ASSERT_EQ(info->version, QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3);
  const QnnSystemContext_BinaryInfoV3_t& v3 = info->contextBinaryInfoV3;
  EXPECT_THAT(v3.buildId, HasSubstr("qhx-cpu"));
  EXPECT_EQ(v3.contextBlobSize, built.binary.size());
  ASSERT_EQ(v3.numGraphs, 2u);
  const QnnSystemContext_GraphInfoV3_t& graph = v3.graphs[0].graphInfoV3;
  EXPECT_STREQ(graph.graphName, "prefill");
  ASSERT_EQ(graph.numGraphInputs, built.prefill.edges.inputs.size());
  ASSERT_EQ(graph.numGraphOutputs, built.prefill.edges.outputs.size());
  for (std::uint32_t i = 0; i < graph.numGraphInputs; ++i) {
    const Edge& edge = built.prefill.edges.inputs[i];
    const Qnn_TensorV1_t& t = graph.graphInputs[i].v1;
    EXPECT_EQ(graph.graphInputs[i].version, QNN_TENSOR_VERSION_1);
    EXPECT_EQ(t.name, edge.name);
    EXPECT_EQ(t.type, QNN_TENSOR_TYPE_APP_WRITE);
    EXPECT_EQ(t.dataType, edge.type);
    EXPECT_EQ(Dims(t.dimensions, t.dimensions + t.rank), edge.dims);
    EXPECT_NE(t.id, 0u);
  }
  EXPECT_EQ(graph.graphOutputs[0].v1.type, QNN_TENSOR_TYPE_APP_READ);
  EXPECT_EQ(
      system.systemContextGetMetaData(handle, built.binary.data(), built.binary.size(), &info), 0u);
  EXPECT_EQ(system.systemContextGetMetaData(handle, built.binary.data(), 100, &info),
            QNN_CONTEXT_ERROR_BINARY_TRUNCATED);
  EXPECT_EQ(system.systemContextFree(handle), 0u);
}

TEST(Binary, TensorsOfMetadataExecute) {
  Client client;
  const Built built = build(client, false);
  QnnSystemContext_Handle_t handle = nullptr;
  ASSERT_EQ(Client::system_api().systemContextCreate(&handle), 0u);
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  ASSERT_EQ(Client::system_api().systemContextGetMetaData(handle, built.binary.data(),
                                                          built.binary.size(), &info),
            0u);
  const QnnSystemContext_GraphInfoV3_t& graph = info->contextBinaryInfoV3.graphs[0].graphInfoV3;
  std::vector<Qnn_Tensor_t> in(graph.graphInputs, graph.graphInputs + graph.numGraphInputs);
  std::vector<Qnn_Tensor_t> out(graph.graphOutputs, graph.graphOutputs + graph.numGraphOutputs);
  std::vector<std::vector<std::byte>> buffers;
  const Named inputs = decoder_inputs(kTinyDecoder, 4, 5);
  for (Qnn_Tensor_t& t : in) buffers.push_back(to_bytes(inputs.at(t.v1.name), t.v1.dataType));
  for (Qnn_Tensor_t& t : out)
    buffers.emplace_back(count_of(Dims(t.v1.dimensions, t.v1.dimensions + t.v1.rank)) * 4);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    Qnn_Tensor_t& t = i < in.size() ? in[i] : out[i - in.size()];
    t.v1.clientBuf = {buffers[i].data(), static_cast<std::uint32_t>(buffers[i].size())};
  }
  Qnn_ContextHandle_t context = nullptr;
  ASSERT_EQ(client.load(built.binary, false, context), 0u);
  Qnn_GraphHandle_t loaded = nullptr;
  ASSERT_EQ(Client::api().graphRetrieve(context, "prefill", &loaded), 0u);
  EXPECT_EQ(Client::api().graphExecute(loaded, in.data(), graph.numGraphInputs, out.data(),
                                       graph.numGraphOutputs, nullptr, nullptr),
            0u)
      << Client::take_log();
  Client::system_api().systemContextFree(handle);
}

// ---- Damage ----

TEST(Damage, WrongFilesAreRefused) {
  Client client;
  const Built built = build(client, false);
  Qnn_ContextHandle_t context = nullptr;
  const auto load = [&](const std::vector<std::byte>& bytes) {
    return client.load(bytes, false, context);
  };
  EXPECT_EQ(load(std::vector<std::byte>(8192, std::byte{0})), QNN_CONTEXT_ERROR_BINARY_INVALID);
  EXPECT_EQ(load(std::vector<std::byte>(8192, std::byte{0x51})), QNN_CONTEXT_ERROR_BINARY_INVALID);
  EXPECT_EQ(load({std::byte{1}}), QNN_CONTEXT_ERROR_BINARY_TRUNCATED);
  Client::take_log();
  for (const std::size_t size :
       {std::size_t{63}, std::size_t{64}, std::size_t{5000}, built.binary.size() - 1}) {
    const std::vector<std::byte> part(built.binary.begin(),
                                      built.binary.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(load(part), QNN_CONTEXT_ERROR_BINARY_TRUNCATED) << size;
    EXPECT_THAT(Client::take_log(), HasSubstr("context binary: "));
  }
  std::vector<std::byte> longer = built.binary;
  longer.push_back(std::byte{0});
  EXPECT_EQ(load(longer), QNN_CONTEXT_ERROR_BINARY_INVALID);
}

// Every byte of header and metadata, and a sample of the weights: a flipped bit is found at create
// or at execute.
TEST(Damage, EveryFlippedBitIsFound) {
  Client client({"qhx.threads:1"});
  const Built built = build(client, false);
  std::uint64_t sections_offset = 0;
  std::memcpy(&sections_offset, built.binary.data() + 40, sizeof(sections_offset));
  Mapped mapped(built.binary);
  Executor executor(nullptr, built.prefill.edges.inputs, built.prefill.edges.outputs);
  const Named inputs = decoder_inputs(kTinyDecoder, 4, 5);
  Random random(1);
  std::size_t at_create = 0, at_execute = 0;
  for (std::size_t i = 0; i < built.binary.size(); i += i < sections_offset ? 1 : 97) {
    const auto bit = static_cast<std::byte>(1 << random.integer(0, 7));
    mapped[i] ^= bit;
    Qnn_ContextHandle_t context = nullptr;
    if (mapped.load(client, context) != 0) {
      ++at_create;
      EXPECT_LT(i, sections_offset);
    } else {
      Qnn_GraphHandle_t graph = nullptr;
      ASSERT_EQ(Client::api().graphRetrieve(context, "prefill", &graph), 0u);
      run(graph, built.prefill.edges, inputs, 6010);
      EXPECT_THAT(Client::take_log(), HasSubstr("the context binary is damaged")) << "byte " << i;
      ++at_execute;
      Client::api().contextFree(context, nullptr);
    }
    mapped[i] ^= bit;
  }
  EXPECT_EQ(at_create, sections_offset);
  EXPECT_GT(at_execute, 50u);
  Qnn_ContextHandle_t context = nullptr;
  ASSERT_EQ(mapped.load(client, context), 0u);
  Client::api().contextFree(context, nullptr);
}

TEST(Damage, IsFoundWhateverThreadComesFirst) {
  Client client({"qhx.threads:2"});
  const Built built = build(client, true);
  Mapped mapped(built.binary);
  mapped[built.binary.size() - 70] ^= std::byte{4};
  Qnn_ContextHandle_t context = nullptr;
  ASSERT_EQ(mapped.load(client, context), 0u);
  Qnn_GraphHandle_t graph = nullptr;
  ASSERT_EQ(Client::api().graphRetrieve(context, "prefill", &graph), 0u);
  const Named inputs = decoder_inputs(kTinyDecoder, 4, 5);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int times = 0; times < 3; ++times) run(graph, built.prefill.edges, inputs, 6010);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Client::api().contextFree(context, nullptr);
}

// Activations of a loaded context are as fine as its config says, unless the backend's says so.
TEST(ContextConfig, TellsTheFormOfActivations) {
  DecoderShape shape = kTinyDecoder;
  shape.weights = WeightForm::kW8;
  shape.tokens = 40;  // more than compute exactly in any case
  Client maker({"qhx.activations:int16"});
  Built built = build(maker, false, shape);
  const auto outputs = [&](const std::vector<std::string>& options, std::string form) {
    Client client(options);
    QnnContext_Config_t config{};
    config.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
    config.customConfig = form.data();
    const QnnContext_Config_t* configs[] = {form.empty() ? nullptr : &config, nullptr};
    Qnn_ContextHandle_t context = nullptr;
    const Qnn_ErrorHandle_t error = Client::api().contextCreateFromBinary(
        client.backend(), nullptr, configs, built.binary.data(), built.binary.size(), &context,
        nullptr);
    if (error != 0) return Named{};
    Qnn_GraphHandle_t graph = nullptr;
    EXPECT_EQ(Client::api().graphRetrieve(context, "prefill", &graph), 0u);
    const Named found = run(graph, built.prefill.edges, decoder_inputs(shape, 4, 5));
    EXPECT_EQ(Client::api().contextFree(context, nullptr), 0u);
    return found;
  };
  const Named fine = outputs({}, "qhx.activations:int16");
  EXPECT_EQ(fine, built.prefill_out);
  const bool bytes = outputs({}, "qhx.activations:int8") != outputs({}, "");
  const Named rough = outputs({"qhx.activations:int8"}, "");
  EXPECT_NE(rough, fine);
  EXPECT_EQ(outputs({"qhx.activations:int16"}, "qhx.activations:int8"), fine);
  if (bytes) {
    EXPECT_EQ(outputs({}, "qhx.activations:int8"), rough);
  }

  for (const char* wrong : {"qhx.activations:int9", "qhx.threads:2", "anything"}) {
    Client::take_log();
    EXPECT_TRUE(outputs({}, wrong).empty());
    EXPECT_NE(Client::take_log().find(wrong == std::string("qhx.activations:int9")
                                          ? "found 'int9'"
                                          : "expected qhx.activations:FORM"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace qhx::cpu::testing
