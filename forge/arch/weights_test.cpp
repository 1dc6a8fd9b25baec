#include "forge/arch/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/f16.h"
#include "base/file.h"
#include "forge/quant/quantize.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A checkpoint of one F32 matrix "m.weight" [out, in] and its bias [out].
class Weights : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ =
        fs::path(::testing::TempDir()) / ("weights-" + std::to_string(::getpid()) + ".safetensors");
  }
  void TearDown() override { fs::remove(path_); }

  void make(std::size_t out, std::size_t in) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    matrix_.resize(out * in);
    bias_.resize(out);
    for (float& v : matrix_) v = normal(random);
    for (float& v : bias_) v = normal(random);
    write(out, in);
  }

  void write(std::size_t out, std::size_t in) {
    const std::size_t middle = matrix_.size() * 4, end = middle + bias_.size() * 4;
    std::string header = R"({"m.weight":{"dtype":"F32","shape":[)" + std::to_string(out) + "," +
                         std::to_string(in) + R"(],"data_offsets":[0,)" + std::to_string(middle) +
                         R"(]},"m.bias":{"dtype":"F32","shape":[)" + std::to_string(out) +
                         R"(],"data_offsets":[)" + std::to_string(middle) + "," +
                         std::to_string(end) + "]}}";
    std::string file(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(file.data(), &length, 8);
    file += header;
    file.append(reinterpret_cast<const char*>(matrix_.data()), middle);
    file.append(reinterpret_cast<const char*>(bias_.data()), bias_.size() * 4);
    ASSERT_TRUE(write_file(path_, file).ok());
    checkpoint_ = std::make_unique<hf::Checkpoint>(std::move(hf::Checkpoint::open(path_)).value());
  }

  WeightLoader loader(WeightFormat format, Qnn_DataType_t activation = QNN_DATATYPE_FLOAT_32) {
    return WeightLoader(*checkpoint_, format, activation, pool_, [this](std::size_t elements) {
      seen_ += elements;
      return stop_ ? cancelled("stopped") : Status();
    });
  }

  fs::path path_;
  std::vector<float> matrix_, bias_;
  std::unique_ptr<hf::Checkpoint> checkpoint_;
  ThreadPool pool_{3};
  std::size_t seen_ = 0;
  bool stop_ = false;
};

// A part keeps the values and scales of the whole, so that the parts' products add up to its.
TEST_F(Weights, APartOfTheInputsIsAsInTheWhole) {
  make(70, 96);
  for (const WeightFormat format : {WeightFormat::kF16, WeightFormat::kW8, WeightFormat::kW4}) {
    const auto linear = loader(format).linear("m");
    ASSERT_TRUE(linear.ok()) << linear.status();
    const LinearWeight& whole = linear->weight;
    const LinearWeight first = whole.part({0, 64}), rest = whole.part({64, 32});
    EXPECT_EQ(first.dims, (qnn::Dims{1, 1, 64, 70}));
    EXPECT_EQ(rest.dims, (qnn::Dims{1, 1, 32, 70}));
    EXPECT_EQ(rest.name, "m.weight[:, 64:96]");
    EXPECT_EQ(rest.type, whole.type);
    EXPECT_EQ(rest.group, whole.group);
    std::vector<std::byte> bytes(first.bytes.data(), first.bytes.data() + first.bytes.size());
    bytes.insert(bytes.end(), rest.bytes.data(), rest.bytes.data() + rest.bytes.size());
    EXPECT_EQ(bytes,
              std::vector<std::byte>(whole.bytes.data(), whole.bytes.data() + whole.bytes.size()));
    if (whole.group == 0) {
      EXPECT_EQ(first.scales, whole.scales);
      EXPECT_EQ(rest.scales, whole.scales);
      continue;
    }
    const std::size_t groups = 96 / whole.group, in_first = 64 / whole.group;
    ASSERT_EQ(first.scales.size(), 70 * in_first);
    ASSERT_EQ(rest.scales.size(), 70 * (groups - in_first));
    for (std::size_t i = 0; i < whole.scales.size(); ++i) {
      const std::size_t n = i / groups, g = i % groups;
      EXPECT_EQ(whole.scales[i], g < in_first
                                     ? first.scales[n * in_first + g]
                                     : rest.scales[n * (groups - in_first) + g - in_first]);
    }
  }
}

// Around the sizes of blocks and tiles, which are 64.
TEST_F(Weights, HalvesAreTransposed) {
  for (const std::size_t out : {1, 63, 64, 65, 200}) {
    for (const std::size_t in : {1, 63, 64, 65, 130}) {
      make(out, in);
      const auto linear = loader(WeightFormat::kF16).linear_with_bias("m");
      ASSERT_TRUE(linear.ok()) << linear.status();
      EXPECT_EQ(linear->weight.dims,
                (qnn::Dims{1, 1, static_cast<std::uint32_t>(in), static_cast<std::uint32_t>(out)}));
      EXPECT_EQ(linear->weight.type, QNN_DATATYPE_FLOAT_16);
      EXPECT_EQ(linear->weight.encoding().kind, qnn::Encoding::Kind::kNone);
      const auto values = linear->weight.bytes.as<std::uint16_t>();
      ASSERT_EQ(values.size(), out * in);
      for (std::size_t o = 0; o < out; ++o) {
        for (std::size_t i = 0; i < in; ++i)
          ASSERT_EQ(values[i * out + o], f32_to_f16(matrix_[o * in + i])) << o << ", " << i;
      }
      ASSERT_EQ(linear->bias->bytes.size(), out * 4);
      EXPECT_EQ(std::memcmp(linear->bias->bytes.data(), bias_.data(), out * 4), 0);
    }
  }
}

TEST_F(Weights, Int8IsQuantizedByRowThenTransposed) {
  constexpr std::size_t kOut = 130, kIn = 70;
  make(kOut, kIn);
  std::vector<std::int8_t> q(kOut * kIn);
  std::vector<float> scales(kOut);
  quant::quantize_per_channel(matrix_.data(), kOut, kIn, q.data(), scales.data());
  const auto linear = loader(WeightFormat::kW8).linear("m");
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_FALSE(linear->bias.has_value());
  EXPECT_EQ(linear->weight.scales, scales);
  EXPECT_EQ(linear->weight.encoding().axis, 3);
  const auto values = linear->weight.bytes.as<std::int8_t>();
  for (std::size_t o = 0; o < kOut; ++o) {
    for (std::size_t i = 0; i < kIn; ++i)
      ASSERT_EQ(values[i * kOut + o], q[o * kIn + i]) << o << ", " << i;
  }
  EXPECT_EQ(seen_, kOut * kIn);
}

TEST_F(Weights, FourBitsAreQuantizedByGroupThenTransposed) {
  constexpr std::size_t kOut = 130, kIn = 96, kGroups = 3;
  make(kOut, kIn);
  std::vector<std::int8_t> q(kOut * kIn);
  std::vector<float> scales(kOut * kGroups);
  quant::quantize_grouped_4bit(matrix_.data(), kOut, kIn, 32, q.data(), scales.data());
  const auto linear = loader(WeightFormat::kW4).linear("m");
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_EQ(linear->weight.type, QNN_DATATYPE_SFIXED_POINT_8);
  EXPECT_EQ(linear->weight.encoding().kind, qnn::Encoding::Kind::kGroup4);
  EXPECT_EQ(linear->weight.encoding().group, 32u);
  EXPECT_EQ(linear->weight.scales, scales) << "[out, groups]";
  const auto values = linear->weight.bytes.as<std::int8_t>();
  for (std::size_t o = 0; o < kOut; ++o) {
    for (std::size_t i = 0; i < kIn; ++i)
      ASSERT_EQ(values[i * kOut + o], q[o * kIn + i]) << o << ", " << i;
  }
}

TEST_F(Weights, RowsThatAreNoGroupsKeepInt8) {
  make(7, 48);
  const auto linear = loader(WeightFormat::kW4).linear("m");
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_EQ(linear->weight.encoding().kind, qnn::Encoding::Kind::kPerChannel);
  EXPECT_EQ(linear->weight.scales.size(), 7u);
}

TEST_F(Weights, APartOfTheRowsHasANameOfItsOwn) {
  make(150, 5);
  const auto part = loader(WeightFormat::kF16).linear_with_bias("m", {70, 75});
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_EQ(part->weight.name, "m.weight[70:145]");
  EXPECT_EQ(part->weight.dims, (qnn::Dims{1, 1, 5, 75}));
  EXPECT_EQ(part->weight.bytes.as<std::uint16_t>()[2 * 75 + 74], f32_to_f16(matrix_[144 * 5 + 2]));
  EXPECT_EQ(part->bias->bytes.size(), 75u * 4);
  EXPECT_EQ(loader(WeightFormat::kF16).linear("m", {100, 51}).status().code(),
            StatusCode::kOutOfRange);
}

TEST_F(Weights, VectorsHaveTheActivationType) {
  make(3, 2);
  const auto vector = loader(WeightFormat::kW8, QNN_DATATYPE_FLOAT_16).vector("m.bias");
  ASSERT_TRUE(vector.ok()) << vector.status();
  EXPECT_EQ(vector->type, QNN_DATATYPE_FLOAT_16);
  ASSERT_EQ(vector->bytes.size(), 6u);
  std::uint16_t first = 0;
  std::memcpy(&first, vector->bytes.data(), 2);
  EXPECT_EQ(first, f32_to_f16(bias_[0]));
}

TEST_F(Weights, PowersOfTwoAreExact) {
  make(70, 9);
  const auto as_is = loader(WeightFormat::kW8).linear_with_bias("m");
  const auto scaled = loader(WeightFormat::kW8).linear_with_bias("m", {}, {-5, 3});
  ASSERT_TRUE(as_is.ok() && scaled.ok());
  const auto q = as_is->weight.bytes.as<std::int8_t>();
  const auto scaled_q = scaled->weight.bytes.as<std::int8_t>();
  EXPECT_TRUE(std::equal(q.begin(), q.end(), scaled_q.begin(), scaled_q.end()));
  for (std::size_t o = 0; o < 70; ++o)
    EXPECT_EQ(scaled->weight.scales[o], std::ldexp(as_is->weight.scales[o], -5));
  std::vector<float> bias(70);
  std::memcpy(bias.data(), scaled->bias->bytes.data(), 70 * 4);
  for (std::size_t o = 0; o < 70; ++o) EXPECT_EQ(bias[o], bias_[o] * 8);

  const auto halves = loader(WeightFormat::kF16).linear("m", {}, 4);
  ASSERT_TRUE(halves.ok()) << halves.status();
  EXPECT_EQ(halves->weight.bytes.as<std::uint16_t>()[3 * 70 + 2],
            f32_to_f16(matrix_[2 * 9 + 3] * 16));
  // What does not fit once multiplied is named like what does not fit at all.
  EXPECT_THAT(loader(WeightFormat::kF16).linear("m", {}, 20).status().message(),
              HasSubstr("tensor m.weight: element"));
}

TEST_F(Weights, ValuesThatCannotBeRepresentedAreNamed) {
  make(100, 10);
  matrix_[70 * 10 + 3] = NAN;
  write(100, 10);
  for (const WeightFormat format : {WeightFormat::kF16, WeightFormat::kW8}) {
    const Status status = loader(format).linear("m").status();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt);
    EXPECT_THAT(status.message(), HasSubstr("tensor m.weight: element 703 is"));
  }
  matrix_[70 * 10 + 3] = -65519.0f;  // still rounds to 65504
  write(100, 10);
  EXPECT_TRUE(loader(WeightFormat::kF16).linear("m").ok());
  matrix_[70 * 10 + 3] = -65520.0f;
  write(100, 10);
  const Status status = loader(WeightFormat::kF16).linear("m").status();
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(status.message(), HasSubstr("element 703 is -65520"));
  EXPECT_TRUE(loader(WeightFormat::kW8).linear("m").ok()) << "int8 has a scale for it";
  make(10, 32);
  matrix_[40] = 5e5f;
  write(10, 32);
  EXPECT_THAT(loader(WeightFormat::kW4).linear("m").status().message(),
              HasSubstr("element 40 is 500000.000000, beyond what 4 bits"));
  bias_[1] = INFINITY;
  write(10, 32);
  EXPECT_THAT(loader(WeightFormat::kW8).linear_with_bias("m").status().message(),
              HasSubstr("tensor m.bias: element 1 is inf"));
}

TEST_F(Weights, AnErrorOfTheProgressStopsTheWork) {
  make(2, 2);
  stop_ = true;
  EXPECT_EQ(loader(WeightFormat::kW8).linear("m").status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace qhx::forge
