// Our declarations and wrappers against the vendor's real x86 libraries: libQnnHtp.so and
// libQnnSystem.so.
//
// QHX_HTP_LIB_DIR names their folder (the test set-up installs the PyPI package onnxruntime-qnn and
// sets it). Without it every test here is skipped, and says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <random>
#include <set>

#include "base/f16.h"
#include "base/log.h"
#include "qnn/binary_info.h"
#include "qnn/device_info.h"
#include "qnn/error.h"
#include "qnn/graph_builder.h"
#include "qnn/operation_ids.h"
#include "qnn/simulated_trace.h"

namespace qhx::qnn {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint32_t kRows = 7, kDepth = 100, kColumns = 33;  // odd on purpose
constexpr std::uint32_t kSocV79 = 69;

class VendorLibrary : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("QHX_HTP_LIB_DIR");
    if (folder == nullptr || *folder == '\0')
      GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set: no vendor library to test with";
    folder_ = folder;
    auto library = BackendLibrary::open(folder_ + "/libQnnHtp.so");
    ASSERT_TRUE(library.ok()) << library.status();
    library_ = *library;
  }

  std::shared_ptr<Context> make_context() {
    auto backend = Backend::create(library_, {.soc_model = kSocV79});
    EXPECT_TRUE(backend.ok()) << backend.status();
    auto context = Context::create(*backend);
    EXPECT_TRUE(context.ok()) << context.status();
    return *context;
  }

  std::string folder_;
  std::shared_ptr<const BackendLibrary> library_;
};

// y = x W with random values; keeps what a reference needs.
struct Product {
  std::vector<float> x, w, scales;
  std::vector<std::uint16_t> x16, w16;
  std::vector<std::int8_t> w8;

  Product() : scales(kColumns) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (std::uint32_t i = 0; i < kRows * kDepth; ++i) x16.push_back(f32_to_f16(uniform(random)));
    for (const std::uint16_t v : x16) x.push_back(f16_to_f32(v));
    for (std::uint32_t n = 0; n < kColumns; ++n) scales[n] = 0.001f * static_cast<float>(n + 1);
    for (std::uint32_t i = 0; i < kDepth * kColumns; ++i) {
      w8.push_back(static_cast<std::int8_t>(static_cast<int>(uniform(random) * 127)));
    }
  }

  // Largest error of `y` (f16) relative to the largest true value; `weight(k, n)` is the true
  // weight.
  template <typename Weight>
  float error(const std::vector<std::uint16_t>& y, Weight weight) const {
    double worst = 0, largest = 0;
    for (std::uint32_t m = 0; m < kRows; ++m) {
      for (std::uint32_t n = 0; n < kColumns; ++n) {
        double sum = 0;
        for (std::uint32_t k = 0; k < kDepth; ++k)
          sum += static_cast<double>(x[m * kDepth + k]) * weight(k, n);
        worst =
            std::max(worst, std::abs(sum - static_cast<double>(f16_to_f32(y[m * kColumns + n]))));
        largest = std::max(largest, std::abs(sum));
      }
    }
    return static_cast<float>(worst / largest);
  }
};

// A 1x1 convolution over [1, 1, rows, depth]; the weight is as given.
Result<Graph> build_product(std::shared_ptr<Context> context, Qnn_DataType_t weight_type,
                            std::span<const std::byte> given, const Encoding& encoding,
                            std::uint32_t rows = kRows) {
  std::vector<std::byte> weight(given.begin(), given.end());
  const std::string name = rows == kRows ? "product" : "product_" + std::to_string(rows);
  QHX_ASSIGN_OR_RETURN(GraphBuilder graph, GraphBuilder::create(std::move(context), name));
  const Value x = graph.input("x", QNN_DATATYPE_FLOAT_16, {1, 1, rows, kDepth});
  const Value w = graph.constant("w", weight_type, {1, 1, kDepth, kColumns}, weight, encoding);
  std::fill(weight.begin(), weight.end(), std::byte{0});  // the library must have copied it
  const Value y = graph.output("y", QNN_DATATYPE_FLOAT_16, {1, 1, rows, kColumns});
  graph.add(op::kConv2d, {x, w}, {y},
            {u32_list("stride", {1, 1}),
             {"pad_amount", TensorParam{QNN_DATATYPE_UINT_32, {2, 2}, {0, 0, 0, 0}}}});
  return std::move(graph).finalize();
}

Result<std::vector<std::uint16_t>> run(const Graph& graph, const Product& product) {
  std::vector<std::uint16_t> y(kRows * kColumns);
  IoBinding binding(graph.info());
  QHX_RETURN_IF_ERROR(binding.bind_input("x", std::as_bytes(std::span(product.x16))));
  QHX_RETURN_IF_ERROR(binding.bind_output("y", std::as_writable_bytes(std::span(y))));
  QHX_RETURN_IF_ERROR(binding.complete());
  QHX_RETURN_IF_ERROR(graph.execute(binding));
  return y;
}

TEST_F(VendorLibrary, SaysWhatItIs) {
  EXPECT_EQ(library_->provider(), "HTP_QTI_AISW");
  EXPECT_EQ(library_->api_version().coreApiVersion.major, 2u);
  EXPECT_THAT(library_->build_id(), StartsWith("v2."));
  EXPECT_FALSE(library_->is_qhx_cpu());
  auto system = SystemLibrary::open(folder_ + "/libQnnSystem.so");
  ASSERT_TRUE(system.ok()) << system.status();
  EXPECT_EQ((*system)->provider(), "SYSTEM_QTI_AISW");
  EXPECT_EQ((*system)->api_version().major, 1u);
}

TEST_F(VendorLibrary, OpeningOneAsTheOtherSaysWhatIsMissing) {
  EXPECT_THAT(BackendLibrary::open(folder_ + "/libQnnSystem.so").status().message(),
              HasSubstr("QnnInterface_getProviders"));
  EXPECT_THAT(SystemLibrary::open(folder_ + "/libQnnHtp.so").status().message(),
              HasSubstr("QnnSystemInterface_getProviders"));
}

TEST_F(VendorLibrary, Fp16GraphRuns) {
  const Product product;
  std::vector<std::uint16_t> w16;
  for (const std::int8_t v : product.w8) w16.push_back(f32_to_f16(static_cast<float>(v) / 64.0f));
  auto graph =
      build_product(make_context(), QNN_DATATYPE_FLOAT_16, std::as_bytes(std::span(w16)), {});
  ASSERT_TRUE(graph.ok()) << graph.status();
  auto y = run(*graph, product);
  ASSERT_TRUE(y.ok()) << y.status();
  EXPECT_LT(product.error(*y,
                          [&](auto k, auto n) {
                            return static_cast<double>(f16_to_f32(w16[k * kColumns + n]));
                          }),
            1e-3f);
}

TEST_F(VendorLibrary, W8GraphRunsAndItsBinaryIsReadBack) {
  const Product product;
  const Encoding encoding{
      .kind = Encoding::Kind::kPerChannel, .axis = 3, .scales = product.scales};
  const auto context = make_context();
  auto graph = build_product(context, QNN_DATATYPE_SFIXED_POINT_8,
                             std::as_bytes(std::span(product.w8)), encoding);
  ASSERT_TRUE(graph.ok()) << graph.status();
  auto y = run(*graph, product);
  ASSERT_TRUE(y.ok()) << y.status();
  const auto weight = [&](auto k, auto n) {
    return static_cast<double>(product.w8[k * kColumns + n]) *
           static_cast<double>(product.scales[n]);
  };
  EXPECT_LT(product.error(*y, weight), 1e-3f);

  auto binary = context->serialize();
  ASSERT_TRUE(binary.ok()) << binary.status();
  auto system = SystemLibrary::open(folder_ + "/libQnnSystem.so");
  ASSERT_TRUE(system.ok()) << system.status();
  auto info = read_binary_info(**system, binary->bytes());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->soc_model, kSocV79);
  EXPECT_EQ(info->dsp_arch, 79u);
  EXPECT_EQ(info->build_id, library_->build_id());
  EXPECT_EQ(info->backend_id, kHtpBackendId);
  EXPECT_EQ(info->core_api, to_string(library_->api_version().coreApiVersion));
  const auto& htp = info->graph("product")->htp;
  ASSERT_TRUE(htp.has_value());
  EXPECT_EQ(htp->vtcm_bytes, 8u << 20);
  EXPECT_EQ(htp->optimization, 3u);
  EXPECT_TRUE(htp->dlbc);
  ASSERT_NE(info->graph("product"), nullptr);
  const TensorInfo* x = info->graph("product")->input("x");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->type, QNN_DATATYPE_FLOAT_16);
  EXPECT_EQ(x->dims, (Dims{1, 1, kRows, kDepth}));

  // Loaded again it computes the same bits.
  auto loaded =
      Context::from_binary(*Backend::create(library_, {.soc_model = kSocV79}), binary->bytes());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  auto again = Graph::retrieve(*loaded, *info->graph("product"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(run(*again, product).value(), *y);
}

TEST_F(VendorLibrary, RefusalsCarryTheLibrarysReason) {
  const Product product;
  // Per-tensor int8 weights are not an HTP format: the builder must fail with the library's own
  // words.
  auto graph = build_product(make_context(), QNN_DATATYPE_SFIXED_POINT_8,
                             std::as_bytes(std::span(product.w8)), {});
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), StatusCode::kBackend);
  EXPECT_THAT(graph.status().message(), HasSubstr("0xc26"));
  EXPECT_THAT(graph.status().message(), HasSubstr("The library says"));
}

TEST_F(VendorLibrary, JunkIsNoContextBinary) {
  const std::vector<std::byte> junk(4096, std::byte{0x5A});
  auto backend = Backend::create(library_, {.soc_model = kSocV79});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(Context::from_binary(*backend, junk).status().code(), StatusCode::kCorrupt);
  auto system = SystemLibrary::open(folder_ + "/libQnnSystem.so");
  ASSERT_TRUE(system.ok()) << system.status();
  EXPECT_EQ(read_binary_info(**system, junk).status().code(), StatusCode::kCorrupt);
}

// Two graphs over one set of weights, and what their binary says.
Result<BinaryInfo> build_pair(const BackendLibrary& library, const std::string& folder,
                              bool share) {
  QHX_ASSIGN_OR_RETURN(auto open, BackendLibrary::open(library.path()));
  QHX_ASSIGN_OR_RETURN(auto backend, Backend::create(open, {.soc_model = kSocV79}));
  QHX_ASSIGN_OR_RETURN(auto context, Context::create(backend, {.share_weights = share}));
  const std::vector<std::uint16_t> w16(kDepth * kColumns, f32_to_f16(0.5f));
  for (const std::uint32_t rows : {1u, kRows}) {
    QHX_ASSIGN_OR_RETURN(auto graph, build_product(context, QNN_DATATYPE_FLOAT_16,
                                                   std::as_bytes(std::span(w16)), {}, rows));
  }
  QHX_ASSIGN_OR_RETURN(const AlignedBuffer binary, context->serialize());
  QHX_ASSIGN_OR_RETURN(auto system, SystemLibrary::open(folder + "/libQnnSystem.so"));
  return read_binary_info(*system, binary.bytes());
}

TEST_F(VendorLibrary, BinariesTellWhetherGraphsShareWeights) {
  for (const bool share : {false, true}) {
    const auto info = build_pair(*library_, folder_, share);
    ASSERT_TRUE(info.ok()) << info.status();
    ASSERT_EQ(info->graphs.size(), 2u);
    EXPECT_EQ(may_share_weights(*info), share);
  }
}

TEST_F(VendorLibrary, CutBinariesAreNoContextBinaries) {
  const Product product;
  std::vector<std::uint16_t> w16(kDepth * kColumns, f32_to_f16(0.5f));
  const auto context = make_context();
  const auto graph =
      build_product(context, QNN_DATATYPE_FLOAT_16, std::as_bytes(std::span(w16)), {});
  ASSERT_TRUE(graph.ok()) << graph.status();
  const auto binary = context->serialize();
  ASSERT_TRUE(binary.ok()) << binary.status();
  auto backend = Backend::create(library_, {.soc_model = kSocV79});
  ASSERT_TRUE(backend.ok()) << backend.status();
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, binary->size() / 2}) {
    EXPECT_EQ(Context::from_binary(*backend, binary->bytes().first(size)).status().code(),
              StatusCode::kCorrupt)
        << size;
  }
}

TEST_F(VendorLibrary, UnknownSocIsRefused) {
  const std::string message = Backend::create(library_, {.soc_model = 23}).status().message();
  EXPECT_THAT(message, HasSubstr("14001"));
  EXPECT_THAT(message, HasSubstr(library_->emulates_device() ? "69 (v79)" : "ADSP_LIBRARY_PATH"));
}

TEST_F(VendorLibrary, TellsItsDevice) {
  if (!library_->emulates_device()) GTEST_SKIP() << "a device of any kind";
  // The default of the emulation, in the form in which devices answer.
  const DeviceInfo device = read_device_info(*library_);
  EXPECT_EQ(device.soc_model, 30u);
  EXPECT_EQ(device.dsp_arch, 68u);
}

TEST_F(VendorLibrary, KnownNoiseStaysOutOfTheLog) {
  std::string seen;
  set_log_sink([&](LogLevel, std::string_view line) { seen += std::string(line) + "\n"; },
               LogLevel::kDebug);
  const Product product;
  std::vector<std::uint16_t> w16(kDepth * kColumns, f32_to_f16(0.5f));
  const auto graph =
      build_product(make_context(), QNN_DATATYPE_FLOAT_16, std::as_bytes(std::span(w16)), {});
  set_log_sink([](LogLevel, std::string_view) {}, LogLevel::kError);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_FALSE(seen.empty()) << "at debug level the library has something to say";
  EXPECT_EQ(seen.find("GraphHtpSettings option"), std::string::npos);
}

TEST_F(VendorLibrary, SimulatesTheDeviceWhileItFinalizes) {
  const auto folder = std::filesystem::temp_directory_path() / "qhx_simulation_test";
  std::filesystem::create_directories(folder);
  OperationIds ids;
  set_log_sink([&](LogLevel, std::string_view line) { ids.read_log_line(line); }, LogLevel::kDebug);
  const auto build = [&](std::int32_t corner) -> Result<Graph> {
    HtpGraphOptions options;
    options.simulation = HtpSimulation{.folder = folder, .corner = corner};
    QHX_ASSIGN_OR_RETURN(GraphBuilder graph, GraphBuilder::create(make_context(), "sum", options));
    graph.part("layer 7");
    const Value x = graph.input("x", QNN_DATATYPE_FLOAT_16, {1, 1, 64, 256});
    const std::vector<std::uint16_t> ones(256, f32_to_f16(1.0f));
    const Value w =
        graph.constant("w", QNN_DATATYPE_FLOAT_16, {1, 1, 1, 256}, std::as_bytes(std::span(ones)));
    const Value y = graph.output("y", QNN_DATATYPE_FLOAT_16, {1, 1, 64, 256});
    graph.add(op::kBinary, {x, w}, {y}, {{"operation", static_cast<std::uint32_t>(Binary::kAdd)}});
    return std::move(graph).finalize();
  };
  const auto graph = build(9);
  set_log_sink({}, LogLevel::kWarn);
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_EQ(graph->operations().size(), 1u);
  EXPECT_EQ(graph->operations()[0].part, "layer 7");
  EXPECT_EQ(graph->operations()[0].weight, "w");

  std::set<std::string> operations;
  const auto facts = read_simulated_trace(folder / "sum.json", [&](const SimulatedEvent& event) {
    const auto name = ids.names().find(event.operation);
    if (name != ids.names().end()) operations.insert(name->second);
  });
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->soc, "SM8750");
  EXPECT_GT(facts->cycles, 0);
  EXPECT_THAT(operations, ::testing::Contains(graph->operations()[0].name));
  EXPECT_EQ(build(10).status().code(), StatusCode::kInvalidArgument);
}

// Emulation has no clocks, but checks what it is told.
TEST_F(VendorLibrary, TakesPerformanceVotes) {
  std::string complaints;
  set_log_sink([&](LogLevel, std::string_view line) { complaints += line; }, LogLevel::kWarn);
  {
    const auto backend = Backend::create(library_, {.soc_model = kSocV79});
    ASSERT_TRUE(backend.ok()) << backend.status();
    ASSERT_NE(PerformanceControl::create(library_), nullptr);
    const PerformanceVote first = (*backend)->performance_vote();
    const PerformanceVote second = (*backend)->performance_vote();
  }
  set_log_sink({}, LogLevel::kWarn);
  EXPECT_EQ(complaints, "");
}

}  // namespace
}  // namespace qhx::qnn
