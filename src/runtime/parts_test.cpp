// The small parts: edges, cache, rotary tables, embeddings, bundle files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include "base/f16.h"
#include "base/file.h"
#include "base/hash.h"
#include "runtime/bundle_files.h"
#include "runtime/embedding_table.h"
#include "runtime/float_tensor.h"
#include "runtime/kv_cache.h"
#include "runtime/qnn_graphs.h"
#include "runtime/rotary.h"
#include "vision/positions.h"

namespace qhx::runtime {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "qhx-runtime-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

qnn::TensorInfo tensor(Qnn_DataType_t type, std::vector<std::uint32_t> dims) {
  qnn::TensorInfo info;
  info.name = "t";
  info.type = type;
  info.dims = std::move(dims);
  return info;
}

TEST(FloatTensor, F32IsTheMemoryItself) {
  FloatTensor t = std::move(FloatTensor::create(tensor(QNN_DATATYPE_FLOAT_32, {2, 3}))).value();
  t.floats()[5] = 1.5f;
  t.store();
  EXPECT_EQ(reinterpret_cast<float*>(t.bytes().data())[5], 1.5f);
  EXPECT_EQ(static_cast<void*>(t.floats().data()), t.bytes().data());
}

TEST(FloatTensor, F16ConvertsAPart) {
  FloatTensor t = std::move(FloatTensor::create(tensor(QNN_DATATYPE_FLOAT_16, {4}))).value();
  for (std::size_t i = 0; i < 4; ++i) t.floats()[i] = static_cast<float>(i) + 0.1f;
  t.store(1, 2);
  const auto* halves = reinterpret_cast<const std::uint16_t*>(t.bytes().data());
  EXPECT_EQ(halves[0], 0);
  EXPECT_EQ(halves[1], f32_to_f16(1.1f));
  EXPECT_EQ(halves[3], 0);
  t.load(1, 1);
  EXPECT_EQ(t.floats()[1], f16_to_f32(f32_to_f16(1.1f)));
  EXPECT_EQ(t.floats()[2], 2.1f);
}

TEST(FloatTensor, FixedPointRoundsAndSaturates) {
  for (const auto type : {QNN_DATATYPE_SFIXED_POINT_8, QNN_DATATYPE_UFIXED_POINT_8,
                          QNN_DATATYPE_SFIXED_POINT_16, QNN_DATATYPE_UFIXED_POINT_16}) {
    qnn::TensorInfo info = tensor(type, {5});
    info.quantized = true;
    info.scale = 0.5f;
    info.offset = -10;  // real = (stored - 10) / 2
    FloatTensor t = std::move(FloatTensor::create(info)).value();
    const float values[] = {0.0f, 2.3f, -1e9f, 1e9f, NAN};
    std::copy(std::begin(values), std::end(values), t.floats().begin());
    t.store();
    std::fill(t.floats().begin(), t.floats().end(), 99.0f);
    t.load();
    EXPECT_EQ(t.floats()[0], 0.0f);
    EXPECT_EQ(t.floats()[1], 2.5f);
    const bool is_signed =
        type == QNN_DATATYPE_SFIXED_POINT_8 || type == QNN_DATATYPE_SFIXED_POINT_16;
    const int bits = qnn::size_bytes(type) == 1 ? 8 : 16;
    const float low = is_signed ? -std::ldexp(1.0f, bits - 1) : 0;
    const float high = std::ldexp(1.0f, is_signed ? bits - 1 : bits) - 1;
    EXPECT_EQ(t.floats()[2], (low - 10) / 2);
    EXPECT_EQ(t.floats()[3], (high - 10) / 2);
  }
}

TEST(FloatTensor, RefusesWhatItCannotConvert) {
  EXPECT_EQ(FloatTensor::create(tensor(QNN_DATATYPE_INT_32, {1})).status().code(),
            StatusCode::kUnsupported);
  EXPECT_EQ(FloatTensor::create(tensor(QNN_DATATYPE_SFIXED_POINT_8, {1})).status().code(),
            StatusCode::kCorrupt);
}

TEST(KvCache, PutsRowsWhereBothLayoutsWantThem) {
  for (const KvLayout layout : {KvLayout::kTokenMajor, KvLayout::kHeadMajor}) {
    constexpr std::size_t kHeads = 3, kRows = 7, kBytes = 4, kNew = 4, kAt = 2, kCount = 3;
    KvCache cache({2, kHeads, kRows, kBytes, layout});
    std::vector<std::byte> source(kHeads * kNew * kBytes);
    const auto value = [](std::size_t head, std::size_t row, std::size_t byte) {
      return static_cast<std::byte>(1 + head * 40 + row * 8 + byte);
    };
    for (std::size_t h = 0; h < kHeads; ++h) {
      for (std::size_t r = 0; r < kNew; ++r) {
        for (std::size_t b = 0; b < kBytes; ++b) {
          const std::size_t row = layout == KvLayout::kHeadMajor ? h * kNew + r : r * kHeads + h;
          source[row * kBytes + b] = value(h, r, b);
        }
      }
    }
    cache.write(3, source, kNew, kAt, kCount);
    const auto stored = cache.tensor(3);
    for (std::size_t h = 0; h < kHeads; ++h) {
      for (std::size_t r = 0; r < kRows; ++r) {
        for (std::size_t b = 0; b < kBytes; ++b) {
          const std::size_t row = layout == KvLayout::kHeadMajor ? h * kRows + r : r * kHeads + h;
          const bool written = r >= kAt && r < kAt + kCount;
          EXPECT_EQ(stored[row * kBytes + b], written ? value(h, r - kAt, b) : std::byte{0});
        }
      }
    }
    for (const std::size_t other : {0u, 1u, 2u}) {
      for (const std::byte byte : cache.tensor(other)) EXPECT_EQ(byte, std::byte{0});
    }
  }
}

TEST(KvCache, MovesRowsBetweenArrangements) {
  constexpr std::size_t kHeads = 3;
  const std::vector<std::size_t> arrangements = {5, 16, 9, 9, 16, 5, 6, 5};
  for (const KvLayout layout : {KvLayout::kTokenMajor, KvLayout::kHeadMajor}) {
    for (const std::size_t scale_bytes : {0u, 2u}) {
      const KvShape shape{1, kHeads, 16, 4, layout, scale_bytes};
      KvCache cache(shape);
      cache.arrange(5, 0);
      const auto bytes = [&](std::size_t tensor) { return shape.row_bytes(shape.kind_of(tensor)); };
      // Row r, head h, byte b of each tensor is a number of its own.
      const auto value = [](std::size_t tensor, std::size_t h, std::size_t r, std::size_t b) {
        return static_cast<std::byte>(1 + ((tensor * kHeads + h) * 5 + r) * 4 + b);
      };
      const auto place = [&](std::size_t tensor, std::size_t rows, std::size_t h, std::size_t r) {
        return (layout == KvLayout::kHeadMajor ? h * rows + r : r * kHeads + h) * bytes(tensor);
      };
      for (std::size_t i = 0; i < shape.tensors(); ++i) {
        std::vector<std::byte> rows(kHeads * 5 * bytes(i));
        for (std::size_t h = 0; h < kHeads; ++h) {
          for (std::size_t r = 0; r < 5; ++r) {
            for (std::size_t b = 0; b < bytes(i); ++b)
              rows[place(i, 5, h, r) + b] = value(i, h, r, b);
          }
        }
        cache.write(i, rows, 5, 0, 5);
      }
      for (const std::size_t rows : arrangements) {
        cache.arrange(rows, 5);
        EXPECT_EQ(cache.rows(), rows);
        for (std::size_t i = 0; i < shape.tensors(); ++i) {
          ASSERT_EQ(cache.tensor(i, rows).size(), kHeads * rows * bytes(i));
          for (std::size_t h = 0; h < kHeads; ++h) {
            for (std::size_t r = 0; r < 5; ++r) {
              for (std::size_t b = 0; b < bytes(i); ++b)
                ASSERT_EQ(cache.tensor(i, rows)[place(i, rows, h, r) + b], value(i, h, r, b))
                    << rows;
            }
          }
        }
      }
    }
  }
}

TEST(RotaryTable, EqualsTheReferenceToTheBit) {
  constexpr std::size_t kDim = 32, kTokens = 4;
  const std::array<int, 3> section = {8, 5, 3};
  const std::vector<std::int32_t> positions = {0, 5, 100, 7, 0, 6, 3, 7, 0, 9, 2, 7};
  std::vector<float> cos(kTokens * kDim / 2), sin(cos.size());
  vision::fill_mrope(positions, 5e6, section, kDim, cos, sin);
  const RotaryTable table(5e6, section, kDim);
  for (std::size_t t = 0; t < kTokens; ++t) {
    std::vector<float> c(kDim), s(kDim);
    table.fill({positions[t], positions[kTokens + t], positions[2 * kTokens + t]}, c, s);
    for (std::size_t j = 0; j < kDim; ++j) {
      EXPECT_EQ(c[j], cos[t * kDim / 2 + j % (kDim / 2)]);
      EXPECT_EQ(s[j], sin[t * kDim / 2 + j % (kDim / 2)]);
    }
  }
}

TEST(RotaryTable, NoSectionIsPlainRope) {
  const RotaryTable table(10000, {0, 0, 0}, 8);
  std::vector<float> c(4), s(4);
  table.fill({3, 50, 60}, c, s);
  EXPECT_FLOAT_EQ(s[1], std::sin(3 * std::pow(10000.0f, -0.25f)));
}

TEST(EmbeddingTable, ReadsRowsAndVerifiesBlocksOnFirstTouch) {
  const TempFolder folder;
  constexpr std::size_t kVocab = 10, kHidden = 6;
  std::vector<std::uint16_t> data(kVocab * kHidden);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = f32_to_f16(static_cast<float>(i));
  manifest::FileRecord record;
  record.bytes = data.size() * 2;
  record.block_bytes = 50;  // rows cross blocks
  for (std::size_t at = 0; at < record.bytes; at += 50) {
    record.block_xxh3.push_back(xxh3_64(
        std::as_bytes(std::span(data)).subspan(at, std::min<std::size_t>(50, record.bytes - at))));
  }
  data[9 * kHidden] ^= 1;  // damages the last block
  const fs::path path = folder.path / "e.bin";
  ASSERT_TRUE(write_file(path, std::as_bytes(std::span(data))).ok());
  const auto table = EmbeddingTable::open(path, kVocab, kHidden, &record);
  ASSERT_TRUE(table.ok()) << table.status();
  std::vector<float> row(kHidden);
  ASSERT_TRUE(table->row(4, row).ok());
  EXPECT_EQ(row[0], 24.0f);
  EXPECT_EQ(row[5], 29.0f);
  EXPECT_EQ(table->row(9, row).code(), StatusCode::kCorrupt);
  EXPECT_EQ(table->row(-1, row).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(table->row(10, row).code(), StatusCode::kOutOfRange);
  const auto unverified = EmbeddingTable::open(path, kVocab, kHidden, nullptr);
  EXPECT_TRUE(unverified->row(9, row).ok());
  const auto wrong = EmbeddingTable::open(path, kVocab, kHidden + 1, nullptr);
  EXPECT_EQ(wrong.status().code(), StatusCode::kCorrupt);
  EXPECT_THAT(wrong.status().message(), HasSubstr("expected 140 bytes"));
  EXPECT_THAT(wrong.status().message(), HasSubstr("found 120"));
}

TEST(BundleFiles, ChecksPlaceSizeAndSum) {
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path / "a.bin", "hello").ok());
  fs::create_symlink("/etc/hostname", folder.path / "link");
  manifest::Artifacts artifacts;
  artifacts.files["a.bin"] = {5, sha256_hex(std::as_bytes(std::span("hello", 5))), 0, {}};
  const BundleFiles files(folder.path, artifacts);
  EXPECT_TRUE(files.map("a.bin", "artifacts.embed").ok());
  EXPECT_EQ(files.find("b.bin", "k").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files.find("../x", "k").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(files.find("link", "k").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(files.find("", "k").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(files.find(".", "k").status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(write_file(folder.path / "a.bin", "hellO").ok());
  EXPECT_THAT(files.map("a.bin", "k").status().message(), HasSubstr("sha256"));
  ASSERT_TRUE(write_file(folder.path / "a.bin", "hell").ok());
  const Status cut = files.find("a.bin", "k").status();
  EXPECT_EQ(cut.code(), StatusCode::kCorrupt);
  EXPECT_THAT(cut.message(), HasSubstr("expected 5 bytes"));
  artifacts.contexts["llm"] = "gone.bin";
  EXPECT_THAT(BundleFiles::check_all(files, artifacts).message(),
              HasSubstr("artifacts.contexts.llm.bin"));
}

TEST(Builds, NewerMeansAHigherMajorOrMinor) {
  EXPECT_TRUE(is_newer_build("v2.51.0.1", "v2.47.9.0"));
  EXPECT_TRUE(is_newer_build("v3.1.0", "v2.47.9.0"));
  EXPECT_FALSE(is_newer_build("v2.47.9", "v2.47.1"));
  EXPECT_FALSE(is_newer_build("v2.41.0", "v2.47.0"));
  EXPECT_FALSE(is_newer_build("qhx-cpu 0.1", "v2.47.0"));
  EXPECT_FALSE(is_newer_build("", ""));
}

}  // namespace
}  // namespace qhx::runtime
