#include "qnn/htp_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "qnn/device_info.h"

namespace qhx::qnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

template <class Word>
void put(std::vector<std::byte>& bytes, std::size_t at, Word value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// As an HTP binary records it: offsets in bytes.
std::vector<std::byte> graph_record() {
  std::vector<std::byte> bytes(112);
  put<std::uint32_t>(bytes, 0, 1);
  put<std::uint64_t>(bytes, 8, 5'000'000'000);
  put<std::uint32_t>(bytes, 16, 8 << 20);
  put<std::uint32_t>(bytes, 20, 3);
  put<std::uint8_t>(bytes, 24, 1);
  put<std::uint64_t>(bytes, 32, 4);
  return bytes;
}

TEST(HtpMetadata, GraphFacts) {
  const auto facts = read_htp_graph_facts(graph_record());
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->spill_fill_bytes, 5'000'000'000u);
  EXPECT_EQ(facts->vtcm_bytes, 8u << 20);
  EXPECT_EQ(facts->optimization, 3u);
  EXPECT_TRUE(facts->dlbc);
  EXPECT_EQ(facts->hvx_threads, 4u);
}

TEST(HtpMetadata, SharedWeights) {
  std::vector<std::byte> bytes = graph_record();
  EXPECT_EQ(read_htp_graph_facts(bytes)->shared_weight_bytes, std::nullopt) << "neither recorded";
  put<std::uint64_t>(bytes, 88, 1000);
  EXPECT_EQ(read_htp_graph_facts(bytes)->shared_weight_bytes, 0u);
  put<std::uint64_t>(bytes, 88, 0);
  put<std::uint64_t>(bytes, 104, 1000);
  EXPECT_EQ(read_htp_graph_facts(bytes)->shared_weight_bytes, 1000u);
  bytes.pop_back();
  EXPECT_EQ(read_htp_graph_facts(bytes)->shared_weight_bytes, std::nullopt) << "cut";

  BinaryInfo binary;
  binary.graphs.resize(1);
  EXPECT_FALSE(may_share_weights(binary));
  binary.graphs.resize(2);
  EXPECT_TRUE(may_share_weights(binary)) << "not told";
  for (GraphInfo& graph : binary.graphs) graph.htp = HtpGraphFacts{.shared_weight_bytes = 0};
  EXPECT_FALSE(may_share_weights(binary));
  binary.graphs[1].htp->shared_weight_bytes = 5;
  EXPECT_TRUE(may_share_weights(binary));
}

TEST(HtpMetadata, OtherVersionsAndShortRecordsTellNothing) {
  std::vector<std::byte> bytes = graph_record();
  for (const std::size_t size : {0u, 3u, 4u, 39u})
    EXPECT_FALSE(read_htp_graph_facts(std::span(bytes).first(size)).has_value()) << size;
  EXPECT_TRUE(read_htp_graph_facts(std::span(bytes).first(40)).has_value());
  put<std::uint32_t>(bytes, 0, 2);
  EXPECT_FALSE(read_htp_graph_facts(bytes).has_value());
}

TEST(HtpMetadata, Arch) {
  std::vector<std::byte> bytes(8);
  put<std::uint32_t>(bytes, 0, 1);
  put<std::uint32_t>(bytes, 4, 79);
  EXPECT_EQ(read_htp_arch(bytes), 79u);
  EXPECT_EQ(read_htp_arch(std::span(bytes).first(7)), 0u);
  EXPECT_EQ(read_htp_arch({}), 0u);
  put<std::uint32_t>(bytes, 0, 2);
  EXPECT_EQ(read_htp_arch(bytes), 0u);
}

TEST(DeviceHint, EmulationNamesTheChips) {
  EXPECT_THAT(device_hint(true, 23, nullptr), HasSubstr("SoC 23"));
  EXPECT_THAT(device_hint(true, 23, nullptr), HasSubstr("69 (v79)"));
}

TEST(DeviceHint, DeviceWithoutSkelsIsToldWhereTheyAreLookedFor) {
  for (const char* unset : {static_cast<const char*>(nullptr), ""})
    EXPECT_THAT(device_hint(false, 0, unset), HasSubstr("ADSP_LIBRARY_PATH is not set"));
  EXPECT_THAT(device_hint(false, 0, "/nowhere;/nor/here"), HasSubstr("/nowhere;/nor/here"));
  EXPECT_THAT(device_hint(false, 0, "/nowhere;/nor/here"), Not(HasSubstr("not \":\"")));
  EXPECT_THAT(device_hint(false, 0, "/nowhere:/nor/here"), HasSubstr("not \":\""));
}

TEST(DeviceHint, SkelsThatAreThereMayBeTheWrongOnes) {
  std::string pattern = (fs::temp_directory_path() / "qhx-skel-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  const std::string path = "/nowhere;" + folder.string();
  EXPECT_THAT(device_hint(false, 0, path.c_str()), HasSubstr("no folder of ADSP_LIBRARY_PATH"));
  ASSERT_TRUE(write_file(folder / "libQnnHtpV79Skel.so", std::string_view("x")).ok());
  EXPECT_THAT(device_hint(false, 0, path.c_str()), HasSubstr(folder.string() + " may be"));
  fs::remove_all(folder);
}

TEST(Library, MissingOnesOfTheVendorSayHowToGetThem) {
  const Status status = BackendLibrary::open("/nowhere/libQnnHtp.so").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("QAIRT SDK"));
#if defined(__x86_64__)
  EXPECT_THAT(status.message(), HasSubstr("pip install onnxruntime-qnn"));
#endif
  EXPECT_THAT(BackendLibrary::open("/nowhere/libQhxCpu.so").status().message(),
              Not(HasSubstr("pip install")));
}

}  // namespace
}  // namespace qhx::qnn
