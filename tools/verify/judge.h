// Compares what a bundle computes with what it should, stage by stage.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "verify/trace.h"

namespace qhx::verify {

struct Thresholds {
  std::optional<double> vision, text;  // least cosine; unset: reported only
  bool greedy = true;                  // a different token fails
};

// What a stage should be: all of its values, or those at sample_places() if there are fewer.
struct Expected {
  std::string name;
  std::size_t count = 0;  // of the whole stage
  std::vector<float> values;
};

struct Judge {
  std::string name;  // "w8 weights dequantized"
  Thresholds thresholds;
  std::vector<Expected> stages;
  std::vector<Best> steps;
};

// Stages larger than this are recorded by a sample of this many values.
inline constexpr std::size_t kSample = 16384;
// One place in each of kSample equal stretches, at a distance from its beginning that has no
// period, so that no column of a matrix is preferred. Rising; all places if there are no more than
// kSample.
std::vector<std::size_t> sample_places(std::size_t count);

struct Figures {
  double cosine = 0;     // NaN if a value is not a number
  double max_error = 0;  // of any value
  // Root mean square of what is left of the error when `found` is scaled as well as it can be:
  // sqrt(1 - cosine^2) of that of `expected`. So a threshold of the cosine bounds it, too.
  double noise = 0;
};
Figures compare(std::span<const float> expected, std::span<const float> found);

// How far apart two logits may be and still change places without a fault: three standard
// deviations of the difference of two values with the noise of this step's logits, and the rounding
// of both to 16-bit floats, half of 2^-10 of the largest each. The noise is that of the whole step,
// so one wrong logit among many does not excuse itself.
double blur_of(const Figures& logits, const Best& best);

enum class Greedy { kNone, kEqual, kBlur, kDifferent };

struct Row {
  std::string stage;
  std::size_t count = 0, compared = 0;
  std::optional<Figures> figures;  // unset: the sizes differ, or one side lacks the stage
  std::optional<double> threshold;
  Greedy greedy = Greedy::kNone;
  std::int32_t expected_id = -1, found_id = -1;
  // Between the judge's logits of the two ids, or of its two best if they are equal. At least this,
  // if the id found is not among its best.
  double gap = 0;
  double blur = 0;
  bool ok = true;
  std::string why;  // if not ok
};

struct Verdict {
  std::string judge;
  std::vector<Row> rows;
  std::size_t greedy_equal = 0, greedy_blur = 0, greedy_steps = 0;
  bool ok() const;
};

Judge make_judge(std::string name, Thresholds thresholds, Trace trace);
// A stage that only one side has fails, but for vision_in, which some bundles compute inside the
// graph.
Verdict judge_trace(const Judge& judge, const Trace& found);

}  // namespace qhx::verify
