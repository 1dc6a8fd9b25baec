#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "inspect/report.h"
#include "inspect/table.h"
#include "inspect/tensor_rows.h"
#include "qnn/graph_builder.h"

namespace qhx::inspect {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Table, AlignsByCharactersNotBytes) {
  Table table({{"a"}, {"n", true}, {""}});
  table.add({"x … y", "1", "end"});
  table.add({"z", "1000", ""});
  EXPECT_EQ(table.to_text("  "),
            "  a         n\n"
            "  x … y     1  end\n"
            "  z      1000\n");
}

TEST(Table, NamesFromFilesCannotDriveTheTerminal) {
  Table table({{""}});
  table.add({"a\x1b[31mb\nc"});
  EXPECT_EQ(table.to_text(""), "a [31mb c\n");
}

TEST(Table, NoTitlesNoTitleLine) {
  Table table({{""}, {""}});
  EXPECT_TRUE(table.empty());
  table.add({"a", "b"});
  EXPECT_EQ(table.to_text(""), "a  b\n");
}

qnn::TensorInfo tensor(std::string name, std::vector<std::uint32_t> dims) {
  qnn::TensorInfo info;
  info.name = std::move(name);
  info.type = QNN_DATATYPE_FLOAT_16;
  info.dims = std::move(dims);
  return info;
}

TEST(TensorRows, NumberedTensorsOfOneShapeShareARow) {
  std::vector<qnn::TensorInfo> list = {tensor("x", {2}),      tensor("k_0", {3, 4}),
                                       tensor("v_0", {3, 4}), tensor("k_1", {3, 4}),
                                       tensor("v_1", {3, 5}), tensor("x", {2})};
  list[5].encoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  list[5].quantized = true;
  list[5].scale = 0.25f;
  list[5].offset = -3;
  EXPECT_THAT(tensor_rows("in", list),
              ElementsAre(ElementsAre("in", "x", "FLOAT_16", "[2]", "4", ""),
                          ElementsAre("in", "k_0 … k_1", "FLOAT_16", "[3, 4]", "48", ""),
                          ElementsAre("in", "v_0", "FLOAT_16", "[3, 4]", "24", ""),
                          ElementsAre("in", "v_1", "FLOAT_16", "[3, 5]", "30", ""),
                          ElementsAre("in", "x", "FLOAT_16", "[2]", "4",
                                      "per tensor, scale 0.25, offset -3")));
}

// Binaries made by the vendor's library: QHX_HTP_LIB_DIR names its folder.
class HtpBinary : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("QHX_HTP_LIB_DIR");
    if (folder == nullptr || *folder == '\0')
      GTEST_SKIP() << "QHX_HTP_LIB_DIR is not set: no vendor library to make an HTP binary with";
    library_ = std::string(folder) + "/libQnnHtp.so";
    ::setenv("QHX_QNN_DIR", folder, 1);
    std::string pattern = (fs::temp_directory_path() / "qhx-inspect-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    const Status made = make_binary();
    ASSERT_TRUE(made.ok()) << made;
  }
  void TearDown() override {
    ::unsetenv("QHX_QNN_DIR");
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  // y = x + x, for SoC 69 with O3, 8 MB of VTCM and DLBC.
  Status make_binary() {
    QHX_ASSIGN_OR_RETURN(auto library, qnn::BackendLibrary::open(library_));
    QHX_ASSIGN_OR_RETURN(auto backend, qnn::Backend::create(library, {.soc_model = 69}));
    QHX_ASSIGN_OR_RETURN(auto context, qnn::Context::create(backend));
    const qnn::HtpGraphOptions options = {.optimization = 3, .vtcm_mb = 8, .dlbc = true};
    QHX_ASSIGN_OR_RETURN(auto graph, qnn::GraphBuilder::create(context, "twice", options));
    const qnn::Value x = graph.input("x", QNN_DATATYPE_FLOAT_16, {1, 64});
    const qnn::Value y = graph.output("y", QNN_DATATYPE_FLOAT_16, {1, 64});
    graph.add(qnn::op::kBinary, {x, x}, {y},
              {{"operation", static_cast<std::uint32_t>(qnn::Binary::kAdd)}});
    QHX_RETURN_IF_ERROR(std::move(graph).finalize().status());
    QHX_ASSIGN_OR_RETURN(const AlignedBuffer binary, context->serialize());
    build_ = library->build_id();
    return write_file(folder_ / "twice.bin", binary.bytes());
  }

  Report inspect(const fs::path& path, bool ask) {
    Options options;
    options.path = path;
    if (ask) options.backend_library = library_;
    auto report = collect(options);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? std::move(*report) : Report();
  }

  std::string library_, build_;
  fs::path folder_;
};

TEST_F(HtpBinary, TellsChipPreparationAndTensors) {
  const Report report = inspect(folder_ / "twice.bin", /*ask=*/false);
  ASSERT_EQ(report.contexts.size(), 1u);
  EXPECT_EQ(report.contexts[0].info.soc_model, 69u);
  EXPECT_EQ(report.contexts[0].info.dsp_arch, 79u);
  EXPECT_TRUE(verdict(report).ok());
  const std::string text = to_text(report);
  for (const char* words :
       {"backend HTP", "arch v79, SoC 69", "graph twice: O3, VTCM 8 MiB, DLBC on", "FLOAT_16"})
    EXPECT_THAT(text, HasSubstr(words));
  const auto json = nlohmann::json::parse(to_json(report));
  const auto& context = json["contexts"][0];
  EXPECT_EQ(context["dsp_arch"], "v79");
  EXPECT_EQ(context["soc_model"], 69);
  EXPECT_EQ(context["qnn_build"], build_);
  const auto& graph = context["graphs"][0];
  EXPECT_EQ(graph["htp"]["optimization"], 3);
  EXPECT_EQ(graph["htp"]["vtcm_bytes"], 8 << 20);
  EXPECT_EQ(graph["htp"]["dlbc"], true);
  EXPECT_EQ(graph["inputs"][0]["dims"], (nlohmann::json{1, 64}));
  EXPECT_EQ(graph["outputs"][0]["bytes"], 128);
}

TEST_F(HtpBinary, LibraryThatMadeItTakesIt) {
  const Report report = inspect(folder_ / "twice.bin", /*ask=*/true);
  EXPECT_TRUE(verdict(report).ok()) << verdict(report);
  ASSERT_TRUE(report.library.has_value());
  EXPECT_EQ(report.library->build_id, build_);
  EXPECT_THAT(to_text(report), HasSubstr("takes it"));
}

TEST_F(HtpBinary, ManifestForAnotherArchIsRefused) {
  const char* manifest = R"({"schema_version": 1, "model": {"dsp_arch": "v81"},
    "artifacts": {"contexts": {"llm": {"bin": "twice.bin"}}}})";
  ASSERT_TRUE(write_file(folder_ / "model.json", std::string_view(manifest)).ok());
  EXPECT_TRUE(verdict(inspect(folder_, /*ask=*/false)).ok()) << "nobody was asked";
  const Status status = verdict(inspect(folder_, /*ask=*/true));
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_THAT(status.message(), HasSubstr("wrong arch: model.dsp_arch: the manifest says v81"));
}

TEST_F(HtpBinary, CutOnesAreDamaged) {
  const std::string whole = *read_file(folder_ / "twice.bin");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{64}, whole.size() / 2}) {
    ASSERT_TRUE(write_file(folder_ / "cut.bin", std::string_view(whole).substr(0, size)).ok());
    Options options;
    options.path = folder_ / "cut.bin";
    EXPECT_FALSE(collect(options).ok()) << size;
  }
}

}  // namespace
}  // namespace qhx::inspect
