#include "verify/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace qhx::verify {
namespace {

// Splitmix64: the same numbers on every machine.
std::uint64_t scatter(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::vector<float> sampled(std::span<const float> values) {
  std::vector<float> out;
  for (const std::size_t place : sample_places(values.size())) out.push_back(values[place]);
  return out;
}

// Device bundles may hand the deepstack features on smaller by a power of two, so that 16-bit
// floats hold what the text graph adds to them. Their direction is what counts: that factor is
// taken back.
void undo_power_of_two(std::span<const float> expected, std::vector<float>& found) {
  double e = 0, f = 0;
  for (const float x : expected) e += double{x} * x;
  for (const float x : found) f += double{x} * x;
  if (!(e > 0 && f > 0) || !std::isfinite(e / f)) return;
  const auto factor = static_cast<float>(std::exp2(std::round(std::log2(e / f) / 2)));
  for (float& x : found) x *= factor;
}

void fail(Row& row, std::string why) {
  row.ok = false;
  row.why = std::move(why);
}

Row compare_stage(const Judge& judge, const Expected& expected, const StageValue& found) {
  const bool picture = is_picture_stage(expected.name);
  Row row;
  row.stage = expected.name;
  row.count = expected.count;
  row.compared = expected.values.size();
  row.threshold = picture ? judge.thresholds.vision : judge.thresholds.text;
  if (found.values.size() != expected.count) {
    fail(row, "has " + std::to_string(found.values.size()) + " values, expected " +
                  std::to_string(expected.count));
    return row;
  }
  std::vector<float> values =
      expected.values.size() == expected.count ? found.values : sampled(found.values);
  if (values.size() != expected.values.size()) {
    fail(row, "expected values are no sample of the stage");
    return row;
  }
  if (expected.name.starts_with("deepstack_")) undo_power_of_two(expected.values, values);
  row.figures = compare(expected.values, values);
  if (!std::isfinite(row.figures->cosine)) {
    fail(row, "values that are not numbers");
  } else if (row.threshold && row.figures->cosine < *row.threshold) {
    fail(row, "cosine below the threshold");
  }
  return row;
}

// A difference of tokens is not always a fault: noise may let two logits that are close change
// places.
void compare_tokens(const Judge& judge, const Best& expected, const Best& found, Row& row) {
  if (expected.empty() || found.empty()) return fail(row, "no logits");
  row.expected_id = expected[0].first;
  row.found_id = found[0].first;
  row.blur = row.figures ? blur_of(*row.figures, expected) : 0;
  const bool equal = row.expected_id == row.found_id;
  const auto other = equal ? expected.begin() + (expected.size() > 1 ? 1 : 0)
                           : std::find_if(expected.begin(), expected.end(), [&](const auto& one) {
                               return one.first == row.found_id;
                             });
  const bool known = other != expected.end();
  row.gap = double{expected[0].second} - (known ? *other : expected.back()).second;
  if (equal) {
    row.greedy = Greedy::kEqual;
  } else if (known && row.gap <= row.blur) {
    row.greedy = Greedy::kBlur;
  } else {
    row.greedy = Greedy::kDifferent;
    if (judge.thresholds.greedy) fail(row, "another token is the likeliest");
  }
}

void count(Verdict& verdict, const Row& row) {
  if (row.greedy == Greedy::kNone) return;
  ++verdict.greedy_steps;
  if (row.greedy == Greedy::kEqual) ++verdict.greedy_equal;
  if (row.greedy == Greedy::kBlur) ++verdict.greedy_blur;
}

Row lone_stage(std::string name, std::size_t count, const char* why) {
  Row row;
  row.stage = std::move(name);
  row.count = count;
  fail(row, why);
  return row;
}

}  // namespace

std::vector<std::size_t> sample_places(std::size_t count) {
  std::vector<std::size_t> places(std::min(count, kSample));
  for (std::size_t k = 0; k < places.size(); ++k) {
    const std::size_t begin = k * count / places.size(), end = (k + 1) * count / places.size();
    places[k] = begin + scatter(k) % (end - begin);
  }
  return places;
}

Figures compare(std::span<const float> expected, std::span<const float> found) {
  QHX_CHECK(expected.size() == found.size());
  double dot = 0, ee = 0, ff = 0;
  Figures out;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], f = found[i];
    dot += e * f;
    ee += e * e;
    ff += f * f;
    out.max_error = std::max(out.max_error, std::abs(e - f));
  }
  if (ee == 0 && ff == 0) {
    out.cosine = 1;  // both nothing but zeros
  } else if (ee == 0 || ff == 0) {
    out.cosine = 0;
  } else {
    out.cosine = dot / std::sqrt(ee) / std::sqrt(ff);
  }
  if (!std::isfinite(dot) || !std::isfinite(ff) || !std::isfinite(ee)) {
    out.cosine = out.max_error = out.noise = std::numeric_limits<double>::quiet_NaN();
  } else if (!expected.empty()) {
    // Rounding may bring a cosine above 1.
    const double part = std::sqrt(std::max(0.0, 1 - out.cosine * out.cosine));
    out.noise = part * std::sqrt(ee / static_cast<double>(expected.size()));
  }
  return out;
}

double blur_of(const Figures& logits, const Best& best) {
  double largest = 0;
  for (const auto& [id, value] : best) largest = std::max(largest, std::abs(double{value}));
  return 3 * std::sqrt(2.0) * logits.noise + largest * 0x1p-10;
}

bool Verdict::ok() const {
  return std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.ok; });
}

Judge make_judge(std::string name, Thresholds thresholds, Trace trace) {
  Judge judge{std::move(name), thresholds, {}, std::move(trace.steps)};
  for (StageValue& stage : trace.stages)
    judge.stages.push_back({std::move(stage.name), stage.values.size(), std::move(stage.values)});
  return judge;
}

Verdict judge_trace(const Judge& judge, const Trace& found) {
  Verdict verdict;
  verdict.judge = judge.name;
  std::size_t step = 0;
  for (const Expected& expected : judge.stages) {
    const StageValue* stage = found.find(expected.name);
    const bool logits = expected.name.starts_with("logits_");
    if (stage == nullptr) {
      if (expected.name != "vision_in")
        verdict.rows.push_back(lone_stage(expected.name, expected.count, "the bundle lacks it"));
      step += logits;
      continue;
    }
    Row row = compare_stage(judge, expected, *stage);
    if (logits && step < judge.steps.size() && step < found.steps.size())
      compare_tokens(judge, judge.steps[step], found.steps[step], row);
    step += logits;
    count(verdict, row);
    verdict.rows.push_back(std::move(row));
  }
  for (const StageValue& stage : found.stages) {
    const bool known = std::any_of(judge.stages.begin(), judge.stages.end(),
                                   [&](const Expected& e) { return e.name == stage.name; });
    if (!known)
      verdict.rows.push_back(
          lone_stage(stage.name, stage.values.size(), "nothing to compare with"));
  }
  return verdict;
}

}  // namespace qhx::verify
