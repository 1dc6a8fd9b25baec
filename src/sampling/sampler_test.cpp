#include "sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace qhx::sampling {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(std::size_t n, std::uint64_t seed, float spread = 4.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
}

// The rules of Hugging Face's processors as their definitions read: full sorts, running sums.
std::set<std::int32_t> reference_kept(std::vector<float> scores, const Config& c,
                                      const std::vector<std::int32_t>& history) {
  const std::set<std::int32_t> seen(history.begin(), history.end());
  for (const std::int32_t id : seen) {
    float& s = scores[static_cast<std::size_t>(id)];
    s = s < 0 ? s * c.repetition_penalty : s / c.repetition_penalty;
  }
  const std::size_t n = scores.size();
  std::vector<double> x(scores.begin(), scores.end());
  for (double& value : x) value /= c.temperature;
  if (c.top_k > 0) {
    std::vector<double> sorted = x;
    std::sort(sorted.rbegin(), sorted.rend());
    const double limit = sorted[std::min(n, static_cast<std::size_t>(c.top_k)) - 1];
    for (double& value : x) value = value < limit ? -kInf : value;
  }
  auto softmax = [&] {
    const double top = *std::max_element(x.begin(), x.end());
    std::vector<double> p(n);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) total += p[i] = std::exp(x[i] - top);
    for (double& value : p) value /= total;
    return p;
  };
  if (c.top_p < 1) {
    const std::vector<double> p = softmax();
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    // Ascending; among equals the higher id counts as smaller.
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return x[a] < x[b] || (x[a] == x[b] && a > b); });
    double sum = 0;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      sum += p[order[i]];
      if (sum <= 1 - static_cast<double>(c.top_p)) x[order[i]] = -kInf;
    }
  }
  if (c.min_p > 0) {
    const std::vector<double> p = softmax();
    const double limit = *std::max_element(p.begin(), p.end()) * c.min_p;
    for (std::size_t i = 0; i < n; ++i) x[i] = p[i] < limit ? -kInf : x[i];
  }
  std::set<std::int32_t> kept;
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] != -kInf) kept.insert(static_cast<std::int32_t>(i));
  }
  return kept;
}

std::set<std::int32_t> kept(Sampler& sampler) {
  std::set<std::int32_t> ids;
  for (const auto& candidate : sampler.kept()) ids.insert(candidate.id);
  return ids;
}

TEST(Argmax, LowestIdWinsTies) {
  EXPECT_EQ(*argmax(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(*argmax(std::vector<float>{-kInf, -5, -kInf}), 1);
  EXPECT_EQ(*argmax(std::vector<float>{7}), 0);
}

TEST(Argmax, RefusesNanAndInfinity) {
  for (const std::vector<float>& bad :
       {std::vector<float>{1, NAN, 2}, {NAN}, {1, kInf}, {-kInf, -kInf}, {}}) {
    const auto result = argmax(bad);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), StatusCode::kBackend);
  }
}

TEST(Sampler, KeepsWhatTheReferenceKeeps) {
  std::uint64_t seed = 1;
  for (const std::size_t n : {1u, 2u, 3u, 17u, 1000u}) {
    for (const int top_k : {0, 1, 2, 20, 5000}) {
      for (const float top_p : {0.0f, 0.3f, 0.8f, 0.99f, 1.0f}) {
        for (const float min_p : {0.0f, 0.1f, 1.0f}) {
          for (const float penalty : {1.0f, 1.3f, 0.7f}) {
            const Config config{.temperature = 0.7f,
                                .top_k = top_k,
                                .top_p = top_p,
                                .min_p = min_p,
                                .repetition_penalty = penalty,
                                .seed = seed};
            const std::vector<float> logits = random_logits(n, seed++);
            std::vector<std::int32_t> history;
            for (std::size_t i = 0; i < n; i += 3)
              history.insert(history.end(), 2, static_cast<std::int32_t>(i));
            Sampler sampler(n);
            sampler.configure(config);
            const auto id = sampler.next(logits, history);
            ASSERT_TRUE(id.ok()) << id.status();
            const auto expected = reference_kept(logits, config, history);
            EXPECT_EQ(kept(sampler), expected)
                << "n " << n << " k " << top_k << " p " << top_p << " min " << min_p;
            EXPECT_TRUE(expected.contains(*id));
          }
        }
      }
    }
  }
}

TEST(Sampler, TopKKeepsTies) {
  Sampler sampler(6);
  sampler.configure({.temperature = 1, .top_k = 2, .seed = 1});
  ASSERT_TRUE(sampler.next(std::vector<float>{1, 5, 4, 4, 4, 0}, {}).ok());
  EXPECT_EQ(kept(sampler), (std::set<std::int32_t>{1, 2, 3, 4}));
}

TEST(Sampler, GreedyAppliesThePenaltyOnly) {
  Sampler sampler(4);
  sampler.configure({.top_k = 1, .top_p = 0.1f, .repetition_penalty = 2});
  EXPECT_EQ(*sampler.next(std::vector<float>{4, 3, 1, -1}, std::vector<std::int32_t>{0, 0}), 1);
  EXPECT_EQ(*sampler.next(std::vector<float>{-1, -1.5f, -3, -5}, std::vector<std::int32_t>{0}), 1);
  EXPECT_EQ(*sampler.next(std::vector<float>{4, 3, 1, -1}, {}), 0);
}

TEST(Sampler, WindowLimitsThePenalty) {
  Sampler sampler(3);
  sampler.configure({.repetition_penalty = 10, .repetition_window = 2});
  const std::vector<float> logits = {5, 4, 3};
  EXPECT_EQ(*sampler.next(logits, std::vector<std::int32_t>{0, 1, 2}), 0);
  EXPECT_EQ(*sampler.next(logits, std::vector<std::int32_t>{2, 1, 0}), 2);
}

TEST(Sampler, DrawsWithTheRightFrequencies) {
  const std::vector<float> logits = {0.0f, std::log(2.0f), std::log(5.0f), -kInf};
  Sampler sampler(4);
  sampler.configure({.temperature = 1, .seed = 7});
  std::map<std::int32_t, int> count;
  constexpr int kDraws = 80000;
  for (int i = 0; i < kDraws; ++i) ++count[*sampler.next(logits, {})];
  // Five standard deviations of a binomial: below 0.9 % of the draws.
  EXPECT_NEAR(count[0] / double{kDraws}, 1.0 / 8, 0.009);
  EXPECT_NEAR(count[1] / double{kDraws}, 2.0 / 8, 0.009);
  EXPECT_NEAR(count[2] / double{kDraws}, 5.0 / 8, 0.009);
  EXPECT_EQ(count.count(3), 0u);
}

TEST(Sampler, SeedFixesTheSequenceOnEveryPlatform) {
  Sampler sampler(100);
  const std::vector<float> logits = random_logits(100, 5, 1.0f);
  auto sequence = [&](std::uint64_t seed) {
    sampler.configure({.temperature = 1, .seed = seed});
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 8; ++i) ids.push_back(*sampler.next(logits, {}));
    return ids;
  };
  EXPECT_EQ(sequence(42), sequence(42));
  EXPECT_NE(sequence(42), sequence(43));
  EXPECT_NE(sequence(0), sequence(0));
  // Equal logits: the id is floor(100 u), with u from the standard's own sequence.
  const std::vector<float> flat(100, 1.0f);
  sampler.configure({.temperature = 1, .seed = 5489});
  std::mt19937_64 random;  // its default seed is 5489
  for (int i = 0; i < 20; ++i) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53;
    EXPECT_EQ(*sampler.next(flat, {}), static_cast<std::int32_t>(u * 100));
  }
}

TEST(Sampler, ExtremeValuesStayFinite) {
  Sampler sampler(3);
  sampler.configure({.temperature = 1e-6f, .top_p = 0.5f, .seed = 1});
  EXPECT_EQ(*sampler.next(std::vector<float>{-3e38f, 3e38f, 0}, {}), 1);
  sampler.configure({.temperature = 9e5f, .seed = 1});
  EXPECT_TRUE(sampler.next(std::vector<float>{-3e38f, 3e38f, 0}, {}).ok());
}

TEST(Sampler, NanIsAnErrorInEveryMode) {
  Sampler sampler(3);
  for (const Config& config : {Config{}, Config{.temperature = 1, .top_k = 1, .seed = 1},
                               Config{.temperature = 1, .repetition_penalty = 2, .seed = 1}}) {
    sampler.configure(config);
    EXPECT_FALSE(sampler.next(std::vector<float>{1, NAN, 2}, {}).ok());
  }
}

TEST(Sampler, ValidateNamesTheValue) {
  EXPECT_TRUE(validate({}).ok());
  EXPECT_THAT(validate({.temperature = -1}).message(), testing::HasSubstr("temperature"));
  EXPECT_THAT(validate({.temperature = NAN}).message(), testing::HasSubstr("temperature"));
  EXPECT_THAT(validate({.top_k = -1}).message(), testing::HasSubstr("top-k"));
  EXPECT_THAT(validate({.top_p = 1.1f}).message(), testing::HasSubstr("top-p"));
  EXPECT_THAT(validate({.min_p = NAN}).message(), testing::HasSubstr("min-p"));
  EXPECT_THAT(validate({.repetition_penalty = 0}).message(), testing::HasSubstr("repetition"));
}

// A vocabulary of 151936 in a few milliseconds even in a debug build with sanitizers: no full sort.
TEST(Sampler, IsQuickOnALargeVocabulary) {
  constexpr std::size_t kVocab = 151936;
  Sampler sampler(kVocab);
  sampler.configure({.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .min_p = 0.01f, .seed = 3});
  const std::vector<float> logits = random_logits(kVocab, 9);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(sampler.next(logits, {}).ok());
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  RecordProperty("ms_each", std::to_string(spent.count() / 10));
  EXPECT_LT(spent.count() / 10, 500);
}

}  // namespace
}  // namespace qhx::sampling
