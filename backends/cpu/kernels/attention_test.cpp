#include <algorithm>
#include <limits>

#include "base/f16.h"
#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint16_t kNanF16 = 0x7E00;

enum class MaskKind { kNone, kF32, kF16 };

// An attention problem with random data, in the layouts of a decoder: q [tokens, heads * D], past
// [C, D] halves or bytes, new [T, D] floats.
struct Problem {
  std::size_t heads = 2, tokens = 1, head_dim = 8, past = 0, fresh = 0;
  MaskKind mask_kind = MaskKind::kNone;
  // Whether token t may see column j.
  bool (*visible)(std::size_t t, std::size_t j, std::size_t past) = nullptr;
  KvType past_type = KvType::kF16;
  // Mask values that mean "masked out", in turn.
  std::vector<float> masked = {-65504.0f, -30000.0f, -std::numeric_limits<float>::infinity()};

  std::size_t columns() const { return past + fresh; }
  bool sees_nothing(std::size_t t) const {
    for (std::size_t j = 0; j < columns(); ++j) {
      if (visible(t, j, past)) return false;
    }
    return true;
  }
};

// Past rows as bytes with a scale each, NaN for rows that must not be read, which the floats then
// equal.
struct ByteRows {
  std::vector<std::int8_t> values;
  std::vector<float> scales;

  ByteRows(const KernelTable& kernels, std::vector<float>& rows, std::size_t count,
           std::size_t width, std::size_t stride)
      : values(count * stride + 1, 77), scales(count) {
    for (std::size_t j = 0; j < count; ++j) {
      kernels.quantize_row(&rows[j * stride], width, &values[j * stride], &scales[j]);
      for (std::size_t i = 0; i < width; ++i)
        rows[j * stride + i] = static_cast<float>(values[j * stride + i]) * scales[j];
    }
  }
};

class AttentionTest : public KernelTest {
 protected:
  void check(const Problem& p) {
    for (const Rounding rounding : {Rounding::kNone, Rounding::kValues, Rounding::kAll})
      check(p, rounding);
  }

 private:
  // Runs p on the target and compares with double precision. Keys and values that no token may see
  // are NaN, unless one sees nothing at all: it looks at everything.
  void check(const Problem& p, Rounding rounding) {
    SCOPED_TRACE(::testing::Message()
                 << "heads " << p.heads << " tokens " << p.tokens << " D " << p.head_dim << " past "
                 << p.past << " new " << p.fresh << " mask " << static_cast<int>(p.mask_kind)
                 << " rounding " << static_cast<int>(rounding));
    const std::size_t d = p.head_dim, w = p.columns(), q_stride = p.heads * d + 3;
    const std::size_t kv_stride = d + 2, mask_stride = w + 1;
    const std::vector<float> q = random_floats(p.tokens * q_stride + 1, 1, -2.0f, 2.0f);
    std::vector<float> k = random_floats(w * kv_stride + 1, 2, -2.0f, 2.0f);
    std::vector<float> v = random_floats(w * kv_stride + 1, 3, -2.0f, 2.0f);
    std::vector<float> mask = random_floats(p.tokens * mask_stride + 1, 4);
    std::vector<std::uint16_t> k16(k.size()), v16(v.size()), mask16(mask.size());
    if (p.visible != nullptr) {
      bool all_seen = false;
      for (std::size_t t = 0; t < p.tokens; ++t) all_seen = all_seen || p.sees_nothing(t);
      for (std::size_t j = 0; j < w; ++j) {
        bool seen = all_seen;
        for (std::size_t t = 0; t < p.tokens; ++t) {
          const bool sees = p.visible(t, j, p.past);
          if (!sees) mask[t * mask_stride + j] = p.masked[(t + j) % p.masked.size()];
          seen = seen || sees;
        }
        if (seen) continue;
        for (std::size_t i = 0; i < d; ++i) k[j * kv_stride + i] = v[j * kv_stride + i] = kNan;
      }
    }
    const auto through_f16 = [](std::vector<float>& values, std::vector<std::uint16_t>& halves,
                                std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        halves[i] = std::isnan(values[i]) ? kNanF16 : f32_to_f16(values[i]);
        values[i] = f16_to_f32(halves[i]);
      }
    };
    const bool bytes = p.past_type == KvType::kI8;
    const ByteRows k8(kernels(), k, bytes ? p.past : 0, d, kv_stride);
    const ByteRows v8(kernels(), v, bytes ? p.past : 0, d, kv_stride);
    if (!bytes) {
      through_f16(k, k16, p.past * kv_stride);
      through_f16(v, v16, p.past * kv_stride);
    }
    if (p.mask_kind == MaskKind::kF16) through_f16(mask, mask16, mask.size());

    GuardedMatrix out(p.tokens, p.heads * d, p.heads * d + 5);
    AttentionArgs args{.q = q.data(),
                       .q_stride = q_stride,
                       .q_head_stride = d,
                       .out = out.data(),
                       .out_stride = out.stride(),
                       .out_head_stride = d,
                       .heads = p.heads,
                       .tokens = p.tokens,
                       .head_dim = d,
                       .scale = 0.37f,
                       .rounding = rounding};
    args.kv[0] = {KvType::kF16, k16.data(), kv_stride, v16.data(), kv_stride, p.past};
    if (bytes) {
      args.kv[0] = {KvType::kI8, k8.values.data(), kv_stride,        v8.values.data(),
                    kv_stride,   p.past,           k8.scales.data(), v8.scales.data()};
    }
    args.kv[1] = {KvType::kF32, k.data() + p.past * kv_stride,
                  kv_stride,    v.data() + p.past * kv_stride,
                  kv_stride,    p.fresh};
    if (p.mask_kind == MaskKind::kF32) args.mask = mask.data();
    if (p.mask_kind == MaskKind::kF16) args.mask = mask16.data(), args.mask_type = FloatType::kF16;
    args.mask_stride = mask_stride;
    AlignedBuffer scratch(kernels().attention_scratch_bytes(d));
    for (float& x : scratch.as<float>()) x = kNan;
    kernels().attention(args, scratch.data());

    EXPECT_TRUE(out.intact());
    // A score is about 0.37 D in size before it cancels; rounded at 2^-24, it moves a weight by
    // that much of itself, and values reach 2. The scales of bytes are roundings more.
    const double exact = 2e-6 + (bytes ? 3 : 2) * 0x1p-24 * 0.37 * static_cast<double>(d);
    // Rounded to bf16, factors are off by 2^-9 of themselves, each in its own direction: the sums
    // by some times the root of their lengths.
    const double of_values = rounding == Rounding::kNone ? 0 : 4 * 0x1p-9;
    const double of_scores =
        rounding == Rounding::kAll ? 5 * 0.37 * std::sqrt(static_cast<double>(d)) * 0x1p-9 : 0;
    const double usual = exact + of_values + of_scores;
    for (std::size_t t = 0; t < p.tokens; ++t) {
      // A score beside a mask of 65504 is rounded to 2^-8, either way where it is near the middle.
      const bool blind = p.visible != nullptr && p.sees_nothing(t);
      const double tolerance = blind ? 2 * 0x1p-8 * 0.37 + usual : usual;
      for (std::size_t h = 0; h < p.heads; ++h) {
        const std::vector<double> want =
            exact_row(p, q.data() + t * q_stride + h * d, k, v, kv_stride,
                      p.mask_kind == MaskKind::kNone ? nullptr : &mask[t * mask_stride]);
        for (std::size_t i = 0; i < d; ++i) {
          ASSERT_NEAR(out.at(t, h * d + i), want[i], tolerance)
              << "token " << t << " head " << h << " at " << i;
        }
      }
    }
  }

  static std::vector<double> exact_row(const Problem& p, const float* q,
                                       const std::vector<float>& k, const std::vector<float>& v,
                                       std::size_t kv_stride, const float* mask) {
    std::vector<double> out(p.head_dim), score(p.columns(), -HUGE_VAL);
    double high = -HUGE_VAL, sum = 0.0;
    const bool blind = mask != nullptr && std::all_of(mask, mask + p.columns(),
                                                      [](float m) { return m <= -30000.0f; });
    for (std::size_t j = 0; j < p.columns(); ++j) {
      if (!blind && mask != nullptr && mask[j] <= -30000.0f) continue;
      double dot = 0.0;
      for (std::size_t i = 0; i < p.head_dim; ++i)
        dot += static_cast<double>(q[i]) * k[j * kv_stride + i];
      if (blind) {
        const float swallowed = static_cast<float>(dot) + mask[j];
        score[j] = 0.37 * std::max(swallowed, std::numeric_limits<float>::lowest());
      } else {
        score[j] = dot * 0.37f + (mask == nullptr ? 0.0 : mask[j]);
      }
      high = std::max(high, score[j]);
    }
    for (std::size_t j = 0; j < p.columns(); ++j) {
      if (score[j] == -HUGE_VAL) continue;
      const double weight = std::exp(score[j] - high);
      sum += weight;
      for (std::size_t i = 0; i < p.head_dim; ++i) out[i] += weight * v[j * kv_stride + i];
    }
    for (double& x : out) x = sum > 0.0 ? x / sum : 0.0;
    return out;
  }
};
QHX_ON_ALL_TARGETS(AttentionTest);

bool causal(std::size_t t, std::size_t j, std::size_t past) { return j < past || j - past <= t; }
// A cache of which only the first 5 rows are filled, and causal among the new ones.
bool nearly_empty(std::size_t t, std::size_t j, std::size_t past) {
  return j < past ? j < 5 : j - past <= t;
}
// Columns visible here and there: each token sees itself at least.
bool scattered(std::size_t t, std::size_t j, std::size_t past) {
  return j == past + t || ((j * 2654435761u >> 7) % 3 == 0 && (j + t) % 2 == 0);
}
bool nothing(std::size_t, std::size_t, std::size_t) { return false; }
bool padding_sees_nothing(std::size_t t, std::size_t j, std::size_t past) {
  return t % 8 != 1 && t < 70 && causal(t, j, past);
}

TEST_P(AttentionTest, NoMask) {
  for (const std::size_t tokens : {1u, 2u, 3u, 5u, 13u, 97u}) {
    for (const std::size_t d : {1u, 8u, 17u, 64u}) {
      for (const std::size_t columns : {1u, 15u, 16u, 33u, 128u, 129u, 300u}) {
        check({.heads = 1, .tokens = tokens, .head_dim = d, .past = 0, .fresh = columns});
      }
    }
  }
}

TEST_P(AttentionTest, PastAndNew) {
  for (const MaskKind kind : {MaskKind::kF32, MaskKind::kF16}) {
    for (const auto visible : {causal, nearly_empty, scattered}) {
      for (const std::size_t tokens : {1u, 2u, 4u, 7u, 50u}) {
        for (const std::size_t past : {0u, 1u, 40u, 300u}) {
          check({.heads = 2,
                 .tokens = tokens,
                 .head_dim = 40,
                 .past = past,
                 .fresh = tokens,
                 .mask_kind = kind,
                 .visible = visible});
        }
      }
    }
  }
}

TEST_P(AttentionTest, PastOfBytes) {
  for (const auto visible : {causal, nearly_empty, scattered, padding_sees_nothing}) {
    for (const std::size_t tokens : {1u, 2u, 4u, 7u, 50u}) {
      for (const std::size_t past : {1u, 40u, 129u, 300u}) {
        for (const std::size_t d : {7u, 40u, 128u}) {
          check({.heads = 2,
                 .tokens = tokens,
                 .head_dim = d,
                 .past = past,
                 .fresh = tokens,
                 .mask_kind = MaskKind::kF32,
                 .visible = visible,
                 .past_type = KvType::kI8});
        }
      }
    }
  }
}

TEST_P(AttentionTest, ManyHeadsShareAKey) {
  for (const std::size_t heads : {1u, 3u, 4u, 5u, 8u, 100u}) {
    check({.heads = heads,
           .tokens = 3,
           .head_dim = 24,
           .past = 20,
           .fresh = 3,
           .mask_kind = MaskKind::kF16,
           .visible = causal});
  }
}

TEST_P(AttentionTest, HeadsOfAnyWidth) {
  for (const std::size_t d : {1u, 31u, 100u, 128u, 256u, 257u, 530u}) {
    for (const std::size_t tokens : {1u, 9u}) {
      check({.heads = 2,
             .tokens = tokens,
             .head_dim = d,
             .past = 10,
             .fresh = tokens,
             .mask_kind = MaskKind::kF32,
             .visible = causal});
    }
  }
}

TEST_P(AttentionTest, RowsThatSeeNothingAreThoseOfSoftmax) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const auto visible : {nothing, padding_sees_nothing}) {
    for (const std::size_t tokens : {1u, 9u, 120u}) {
      for (const std::size_t past : {0u, 33u, 300u}) {
        Problem p{.tokens = tokens,
                  .head_dim = 20,
                  .past = past,
                  .fresh = tokens,
                  .mask_kind = MaskKind::kF16,
                  .visible = visible};
        for (const float masked : {-65504.0f, -kInfinity}) {
          p.masked = {masked};
          check(p);
        }
        p.mask_kind = MaskKind::kF32;
        p.masked = {-1e9f};
        check(p);
        p.masked = {-40000.0f, -kInfinity, -65504.0f};
        check(p);
      }
    }
  }
}

TEST_P(AttentionTest, AnEvenSpreadWhereTheMaskSwallowsTheScores) {
  const std::size_t d = 5, columns = 7;
  const std::vector<float> q = random_floats(d, 1), k = random_floats(columns * d, 2),
                           v = random_floats(columns * d, 3);
  for (const float masked : {-1e9f, -std::numeric_limits<float>::infinity()}) {
    const std::vector<float> mask(columns, masked);
    std::vector<float> out(d);
    AttentionArgs args{.q = q.data(), .out = out.data(), .tokens = 1, .head_dim = d};
    args.mask = mask.data();
    args.kv[1] = {KvType::kF32, k.data(), d, v.data(), d, columns};
    AlignedBuffer scratch(kernels().attention_scratch_bytes(d));
    kernels().attention(args, scratch.data());
    for (std::size_t i = 0; i < d; ++i) {
      float mean = 0;
      for (std::size_t j = 0; j < columns; ++j) mean += v[j * d + i] / columns;
      EXPECT_NEAR(out[i], mean, 1e-6f);
    }
  }
}

TEST_P(AttentionTest, NoColumnsGiveZeros) {
  for (const std::size_t tokens : {1u, 9u}) check({.tokens = tokens, .head_dim = 16});
}

// Scores far apart: all weight goes to one column; weights underflow to zero without NaN.
TEST_P(AttentionTest, LargeScores) {
  const std::size_t d = 4, columns = 200;
  for (const std::size_t tokens : {1u, 20u}) {
    const std::vector<float> q(tokens * d, 100.0f);
    std::vector<float> k(columns * d), v(columns * d), out(tokens * d);
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t i = 0; i < d; ++i) k[j * d + i] = v[j * d + i] = static_cast<float>(j);
    }
    AttentionArgs args{.q = q.data(),
                       .q_stride = d,
                       .out = out.data(),
                       .out_stride = d,
                       .tokens = tokens,
                       .head_dim = d,
                       .scale = 1.0f};
    args.kv[1] = {KvType::kF32, k.data(), d, v.data(), d, columns};
    AlignedBuffer scratch(kernels().attention_scratch_bytes(d));
    kernels().attention(args, scratch.data());
    for (const float x : out) EXPECT_EQ(x, 199.0f);
  }
}

}  // namespace
}  // namespace qhx::cpu
