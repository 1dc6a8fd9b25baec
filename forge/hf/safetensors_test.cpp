#include "forge/hf/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "base/f16.h"
#include "base/file.h"

namespace qhx::hf {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file_text(const std::string& header, std::size_t data_bytes) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  text += header;
  for (std::size_t i = 0; i < data_bytes; ++i) text += static_cast<char>(i + 1);
  return text;
}

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(SafetensorsHeader, ReadsEntriesAndSkipsMetadata) {
  const std::string text =
      file_text("{\"__metadata__\":{\"format\":\"pt\"}," + tensor("b", "BF16", "[2,3]", "[0,12]") +
                    "," + tensor("s", "F32", "[]", "[12,16]") + "," +
                    tensor("none", "I8", "[0,5]", "[16,16]") + "}",
                16);
  const auto header = parse_safetensors(bytes(text));
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_EQ(header->tensors.size(), 3u);
  EXPECT_EQ(header->data_offset, text.size() - 16);
  const TensorEntry& b = header->tensors.find("b")->second;
  EXPECT_EQ(b.dtype, DType::kBF16);
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  EXPECT_EQ(b.end, 12u);
}

struct BadCase {
  std::string header;
  StatusCode code;
  std::string message;
};

TEST(SafetensorsHeader, RefusesEveryContradiction) {
  const std::vector<BadCase> cases = {
      {"{" + tensor("a", "F32", "[2]", "[0,9]") + "}", StatusCode::kCorrupt, "takes 8 bytes"},
      {"{" + tensor("a", "F32", "[2]", "[8,0]") + "}", StatusCode::kCorrupt, "begin <= end"},
      {"{" + tensor("a", "F32", "[5]", "[0,20]") + "}", StatusCode::kCorrupt, "<= 16"},
      {"{" + tensor("a", "F32", "[-1]", "[0,4]") + "}", StatusCode::kCorrupt, "at least 0"},
      {"{" + tensor("a", "F32", "[1.5]", "[0,4]") + "}", StatusCode::kCorrupt, "shape"},
      {"{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", StatusCode::kCorrupt,
       "overflows"},
      {"{" + tensor("a", "F8_E4M3", "[4]", "[0,4]") + "}", StatusCode::kUnsupported, "F8_E4M3"},
      {"{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("b", "F32", "[2]", "[4,12]") + "}",
       StatusCode::kCorrupt, "tensors a and b overlap"},
      {"{" + tensor("a", "F32", "[1]", "[0,4]") + "," + tensor("a", "F32", "[1]", "[4,8]") + "}",
       StatusCode::kCorrupt, "\"a\" is given twice"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", StatusCode::kCorrupt,
       "data_offsets is missing"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", StatusCode::kCorrupt,
       "data_offsets"},
      {"{\"a\":7}", StatusCode::kCorrupt, "tensor a"},
      {"[]", StatusCode::kCorrupt, "object"},
      {"{\"a\":", StatusCode::kCorrupt, "JSON"},
      {"{\"\xff\":1}", StatusCode::kCorrupt, "JSON"},
      {"{\"a\":" + std::string(100000, '['), StatusCode::kCorrupt, "nested deeper"},
  };
  for (const BadCase& bad : cases) {
    const std::string text = file_text(bad.header, 16);
    const auto header = parse_safetensors(bytes(text));
    ASSERT_FALSE(header.ok()) << bad.header;
    EXPECT_EQ(header.status().code(), bad.code) << header.status();
    EXPECT_THAT(header.status().message(), HasSubstr(bad.message));
  }
}

TEST(SafetensorsHeader, RefusesLengthsBeyondTheFile) {
  std::string text = file_text("{}", 0);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_safetensors(bytes(text).first(size)).ok()) << size;
  }
  EXPECT_TRUE(parse_safetensors(bytes(text)).ok());
  for (int i = 0; i < 8; ++i) text[static_cast<std::size_t>(i)] = '\xff';
  EXPECT_THAT(parse_safetensors(bytes(text)).status().message(), HasSubstr("header length"));
}

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qhx-hf-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file(folder_ / name, text).ok());
  }
  fs::path folder_;
};

TEST_F(CheckpointTest, ReadsOneFileByFolderOrByName) {
  put("model.safetensors", file_text("{" + tensor("a", "U8", "[2,2]", "[0,4]") + "}", 4));
  for (const fs::path& path : {folder_, folder_ / "model.safetensors"}) {
    const auto checkpoint = Checkpoint::open(path);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    const auto view = checkpoint->find("a");
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view->rows(), 2u);
    EXPECT_EQ(view->row_size(), 2u);
    EXPECT_EQ(std::to_integer<int>(view->bytes[3]), 4);
    checkpoint->drop_resident(*view);
    checkpoint->drop_resident();
    EXPECT_EQ(std::to_integer<int>(view->bytes[3]), 4);
    const auto missing = checkpoint->find("absent.weight");
    EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
    EXPECT_THAT(missing.status().message(), HasSubstr("absent.weight"));
    const std::size_t other[] = {4, 1};
    EXPECT_THAT(checkpoint->find("a", other).status().message(),
                HasSubstr("expected shape [4, 1], found [2, 2]"));
  }
}

TEST_F(CheckpointTest, ReadsShards) {
  put("one.safetensors", file_text("{" + tensor("a", "U8", "[4]", "[0,4]") + "}", 4));
  put("two.safetensors", file_text("{" + tensor("b", "U8", "[2]", "[0,2]") + "}", 2));
  put("model.safetensors.index.json",
      R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  const auto checkpoint = Checkpoint::open(folder_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint->find("b")->bytes.size(), 2u);
}

TEST_F(CheckpointTest, RefusesBadIndexes) {
  put("one.safetensors", file_text("{" + tensor("a", "U8", "[4]", "[0,4]") + "}", 4));
  put("two.safetensors", file_text("{" + tensor("a", "U8", "[2]", "[0,2]") + "}", 2));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"weight_map": {"a": "../one.safetensors"}})", "leaves"},
      {R"({"weight_map": {"a": "/etc/passwd"}})", "relative"},
      {R"({"weight_map": {"a": 1}})", "file name"},
      {R"({"weight_map": []})", "weight_map"},
      {R"({"weight_map": {"missing": "one.safetensors"}})",
       "tensor missing is not in one.safetensors"},
      {R"({"weight_map": {"a": "gone.safetensors"}})", "gone.safetensors"},
      {R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})",
       "tensor a is in both"},
      {"{", "JSON"},
  };
  for (const auto& [index, message] : cases) {
    put("model.safetensors.index.json", index);
    const auto checkpoint = Checkpoint::open(folder_);
    ASSERT_FALSE(checkpoint.ok()) << index;
    EXPECT_THAT(checkpoint.status().message(), HasSubstr(message));
  }
}

TEST_F(CheckpointTest, ReportsAbsentFiles) {
  EXPECT_EQ(Checkpoint::open(folder_).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Checkpoint::open(folder_ / "x.safetensors").status().code(), StatusCode::kNotFound);
}

TEST(ReadF32, ConvertsEveryFloatTypeAtOddAddresses) {
  const float values[] = {1.5f, -2.0f, 0.25f, 65504.0f, -0.0f, 3.0f};
  const std::size_t shape[] = {3, 2};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    std::vector<std::byte> store(1);  // makes the data unaligned
    for (const float value : values) {
      std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
      if (type == DType::kF16) bits = f32_to_f16(value);
      if (type == DType::kBF16) bits >>= 16;
      for (std::size_t i = 0; i < size_bytes(type); ++i)
        store.push_back(std::byte(bits >> (8 * i)));
    }
    const TensorView view{"t", type, shape, std::span<const std::byte>(store).subspan(1)};
    const auto all = read_f32(view);
    ASSERT_TRUE(all.ok()) << all.status();
    for (std::size_t i = 0; i < 6; ++i) {
      if (type == DType::kBF16 && i == 3) continue;  // 65504 has more digits than bfloat16
      EXPECT_EQ((*all)[i], values[i]) << name(type) << " " << i;
    }
    float row[2];
    ASSERT_TRUE(read_f32(view, 2, 1, row).ok());
    EXPECT_EQ(row[1], 3.0f);
    EXPECT_TRUE(read_f32(view, 3, 0, {}).ok());
    EXPECT_EQ(read_f32(view, 3, 1, row).code(), StatusCode::kOutOfRange);
    EXPECT_EQ(read_f32(view, 1, ~std::size_t{0}, row).code(), StatusCode::kOutOfRange);
  }
}

TEST(ReadF32, RefusesIntegers) {
  const std::size_t shape[] = {1};
  const std::byte store[4] = {};
  EXPECT_EQ(read_f32(TensorView{"t", DType::kI32, shape, store}).status().code(),
            StatusCode::kUnsupported);
}

}  // namespace
}  // namespace qhx::hf
