#include "base/f16.h"
#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

TEST(Pack, SizesRoundChannelsUpToPanels) {
  EXPECT_EQ(packed_bytes(WeightType::kF16, 17, 3), 32u * 3 * 2);
  EXPECT_EQ(packed_bytes(WeightType::kF32, 16, 3), 16u * 3 * 4);
  EXPECT_EQ(packed_bytes(WeightType::kI8, 1, 5), 16u * 8);
  EXPECT_EQ(packed_bytes(WeightType::kI4, 17, 9), 2u * 16 * 8);
  EXPECT_EQ(packed_bytes(WeightType::kI8, 0, 5), 0u);
  EXPECT_EQ(packed_scales(17, 100, 0), 32u);
  EXPECT_EQ(packed_scales(17, 100, 32), 32u * 4);
}

// The layout is a file format: byte positions are pinned here, not only round trips.
TEST(Pack, Int8BytesAreWhereTheFormatSays) {
  const std::size_t n = 18, k = 6;
  std::vector<std::int8_t> source(k * n);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::int8_t>(i + 1);
  std::vector<std::byte> panels(packed_bytes(WeightType::kI8, n, k));
  pack_weights({WeightType::kI8, source.data(), n, k, n, 1}, 0, panels);
  for (std::size_t c = 0; c < 32; ++c) {
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t at = c / 16 * 128 + i / 4 * 64 + c % 16 * 4 + i % 4;
      const int found = static_cast<std::int8_t>(panels[at]);
      EXPECT_EQ(found, c < n && i < k ? source[i * n + c] : 0) << c << " " << i;
    }
  }
}

TEST(Pack, FourLowNibblesThenFourHighOnes) {
  const std::size_t n = 2, k = 6;
  const std::vector<std::int8_t> source = {1, -8, 7, -1, 3, -2, 0, 2, 4, 6, -3, 5};  // [N, K]
  std::vector<std::byte> panels(packed_bytes(WeightType::kI4, n, k));
  pack_weights({WeightType::kI4, source.data(), n, k, 1, k}, 0, panels);
  ASSERT_EQ(panels.size(), 64u);
  const int expected[] = {0x31, 0xE8, 0x07, 0x0F, 0xD0, 0x52, 0x04, 0x06, 0x00};
  for (std::size_t i = 0; i < std::size(expected); ++i)
    EXPECT_EQ(std::to_integer<int>(panels[i]), expected[i]) << i;
}

TEST(Pack, BothSourceLayoutsUnpackToTheSource) {
  for (const bool n_major : {false, true}) {
    for (const std::size_t n : {1u, 15u, 16u, 17u, 33u}) {
      for (const std::size_t k : {1u, 2u, 31u, 33u}) {
        const std::vector<float> values = random_floats(n * k, 7, -8.0f, 7.9f);
        std::vector<std::int8_t> ints(n * k);
        std::vector<std::uint16_t> halves(n * k);
        for (std::size_t i = 0; i < n * k; ++i) {
          ints[i] = static_cast<std::int8_t>(std::floor(values[i]));
          halves[i] = f32_to_f16(values[i]);
        }
        const std::size_t ks = n_major ? 1 : n, ns = n_major ? k : 1;
        const std::vector<float> scales(padded_channels(n), 0.5f);
        for (const WeightType type :
             {WeightType::kF32, WeightType::kF16, WeightType::kI8, WeightType::kI4}) {
          const bool whole = type == WeightType::kI8 || type == WeightType::kI4;
          const void* data = type == WeightType::kF32   ? static_cast<const void*>(values.data())
                             : type == WeightType::kF16 ? static_cast<const void*>(halves.data())
                                                        : static_cast<const void*>(ints.data());
          std::vector<std::byte> panels(packed_bytes(type, n, k));
          pack_weights({type, data, n, k, ks, ns}, 0, panels);
          const PackedWeights packed{
              .type = type, .n = n, .k = k, .panels = panels.data(), .scales = scales.data()};
          std::vector<float> channel(k);
          for (std::size_t c = 0; c < n; ++c) {
            unpack_channel(packed, c, channel);
            for (std::size_t i = 0; i < k; ++i) {
              const std::size_t at = i * ks + c * ns;
              const float want = whole                      ? 0.5f * ints[at]
                                 : type == WeightType::kF16 ? f16_to_f32(halves[at])
                                                            : values[at];
              ASSERT_EQ(channel[i], want) << static_cast<int>(type) << " n " << n << " k " << k;
            }
          }
        }
      }
    }
  }
}

TEST(Pack, SourcesMayBeJoinedAtAnyChannel) {
  const std::size_t k = 5;
  for (const WeightType type : {WeightType::kI8, WeightType::kI4}) {
    std::vector<std::int8_t> all(37 * k);
    for (std::size_t i = 0; i < all.size(); ++i)
      all[i] = static_cast<std::int8_t>(static_cast<int>(i * 5 % 16) - 8);
    std::vector<std::byte> whole(packed_bytes(type, 37, k)), joined(whole.size());
    pack_weights({type, all.data(), 37, k, 1, k}, 0, whole);
    pack_weights({type, all.data(), 3, k, 1, k}, 0, joined);
    pack_weights({type, all.data() + 3 * k, 20, k, 1, k}, 3, joined);
    pack_weights({type, all.data() + 23 * k, 14, k, 1, k}, 23, joined);
    EXPECT_EQ(whole, joined);
  }
}

TEST(Pack, ScalesOfGroupsGoBesideTheirPanel) {
  const std::size_t n = 17, groups = 3;
  std::vector<float> source(n * groups);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i + 1);
  std::vector<std::uint16_t> scales(padded_channels(n) * groups);
  pack_group_scales(source.data(), n, groups, 0, scales);
  EXPECT_EQ(f16_to_f32(scales[0]), 1.0f);
  EXPECT_EQ(f16_to_f32(scales[16]), 2.0f);
  EXPECT_EQ(f16_to_f32(scales[15]), 46.0f);
  EXPECT_EQ(f16_to_f32(scales[groups * 16]), 49.0f);
  EXPECT_EQ(f16_to_f32(scales[groups * 16 + 16]), 50.0f);
  EXPECT_EQ(f16_to_f32(scales[groups * 16 + 1]), 0.0f);
}

}  // namespace
}  // namespace qhx::cpu
