#include "forge/quant/rounded_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "base/f16.h"
#include "base/file.h"

namespace qhx::quant {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Rounded : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ =
        fs::path(::testing::TempDir()) / ("rounded-" + std::to_string(::getpid()) + ".safetensors");
    std::mt19937 random(1);
    for (auto& v : q_) v = static_cast<std::int8_t>(static_cast<int>(random() % 15) - 7);
    for (auto& v : scales_) v = f32_to_f16(static_cast<float>(random() % 1000) / 512);
  }
  void TearDown() override { fs::remove(file_); }

  void write() {
    fs::remove(file_);
    std::vector<std::uint8_t> packed(q_.size() / 2);
    pack_4bit(q_, packed);
    const RoundedWriter::Matrix matrices[] = {{"a", 5, 96}, {"b", 5, 96}};
    auto writer = RoundedWriter::create(file_, matrices);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->write("a", packed, scales_).ok());
    EXPECT_FALSE(fs::exists(file_)) << "not before it is whole";
    ASSERT_TRUE(writer->write("b", packed, scales_).ok());
    ASSERT_TRUE(writer->commit().ok());
  }

  Status read(const char* name, RoundedWeights::Rows rows) {
    found_.resize(rows.count * rows.in);
    found_scales_.resize(rows.count * rows.in / 32);
    const auto weights = RoundedWeights::open(file_);
    if (!weights.ok()) return weights.status();
    return (*weights)->read(name, rows, found_, found_scales_);
  }

  fs::path file_;
  std::vector<std::int8_t> q_ = std::vector<std::int8_t>(5 * 96), found_;
  std::vector<std::uint16_t> scales_ = std::vector<std::uint16_t>(5 * 3);
  std::vector<float> found_scales_;
};

TEST_F(Rounded, ReadsWhatWasWrittenInAnyRows) {
  write();
  EXPECT_TRUE(RoundedWeights::open(file_).value()->contains("b"));
  EXPECT_FALSE(RoundedWeights::open(file_).value()->contains("c"));
  const Status status = read("b", {.out = 5, .in = 96, .first = 2, .count = 3});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(std::equal(found_.begin(), found_.end(), q_.begin() + 2 * 96));
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(found_scales_[i], f16_to_f32(scales_[6 + i]));
}

TEST_F(Rounded, WhatDoesNotBelongToTheModelIsNamed) {
  write();
  EXPECT_THAT(read("a", {.out = 6, .in = 96, .first = 0, .count = 6}).message(),
              HasSubstr("tensor a.q: expected shape [6, 48], found [5, 48]"));
  EXPECT_EQ(read("c", {.out = 5, .in = 96, .first = 0, .count = 5}).code(), StatusCode::kNotFound);
}

TEST_F(Rounded, DamagedValuesAreErrors) {
  q_[7] = -8;
  write();
  const RoundedWeights::Rows all{.out = 5, .in = 96, .first = 0, .count = 5};
  EXPECT_THAT(read("a", all).message(), HasSubstr("a.q: element 6 of row 0 on: expected -7 to 7"));
  q_[7] = 0;
  for (const std::uint16_t half : {0x7C00, 0x7E00, 0x8001}) {  // infinity, no number, negative
    scales_[4] = half;
    write();
    EXPECT_THAT(read("a", all).message(), HasSubstr("a.scales: element 4")) << half;
  }
}

}  // namespace
}  // namespace qhx::quant
