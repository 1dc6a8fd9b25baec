// Several contexts and prefill lengths over one model: the result is that of one context, the
// smallest graph that fits is run, and the cache moves only when one context is left for another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/f16.h"
#include "fakes/toy_model.h"
#include "runtime/prompt_plan.h"
#include "runtime/text_runner.h"

namespace qhx::runtime {
namespace {

using fakes::ToyModel;
using fakes::ToyOptions;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t kContext = 40;

ToyOptions ladder(bool head_major, Qnn_DataType_t type) {
  ToyOptions o;
  o.context = kContext;
  o.further_contexts = {20, 10};
  o.further_rows = {3};
  o.head_major = head_major;
  o.type = type;
  return o;
}

ToyOptions one_context(ToyOptions o) {
  o.further_contexts.clear();
  o.further_rows.clear();
  return o;
}

std::vector<ToyOptions> ladders() {
  std::vector<ToyOptions> all;
  for (const bool head_major : {true, false}) {
    for (const auto type : {QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_FLOAT_16})
      all.push_back(ladder(head_major, type));
    all.push_back(ladder(head_major, QNN_DATATYPE_FLOAT_32));
    all.back().int8_cache = true;
  }
  return all;
}

manifest::Manifest manifest() {
  manifest::Manifest m;
  m.params.rope_theta = 100;
  return m;
}

// Row r of the toy's embeddings, the same in every process.
std::vector<float> embedding(std::int32_t token, std::size_t hidden) {
  std::mt19937 random(static_cast<unsigned>(token) + 1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> row(hidden);
  for (float& value : row) value = f16_to_f32(f32_to_f16(uniform(random)));
  return row;
}

class Session {
 public:
  explicit Session(const ToyOptions& o) : model(o) {
    const auto spec = make_text_spec(manifest(), model);
    EXPECT_TRUE(spec.ok()) << spec.status();
    runner = std::move(TextRunner::create(*spec, model)).value();
  }

  // Tokens cached() … cached() + count - 1 of an endless text, as a prompt.
  void prompt(std::size_t count) {
    const std::size_t start = runner->cached();
    const auto plan = plan_prompt(runner->spec(), start + count, start, 0);
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const Chunk& chunk : plan->chunks) {
      std::vector<Position> positions;
      for (std::size_t row = 0; row < chunk.count; ++row) {
        fill(runner->graph(chunk.graph), row, chunk.first + row);
        positions.push_back(position(chunk.first + row));
      }
      ASSERT_TRUE(runner->run(chunk.graph, positions).ok());
    }
  }
  // The same, one by one through decode.
  void decode(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = runner->cached();
      fill(runner->decode(), 0, at);
      ASSERT_TRUE(runner->run_decode(position(at)).ok());
    }
  }
  std::vector<float> logits() {
    const auto logits = *runner->run_head();
    return {logits.begin(), logits.end()};
  }

  ToyModel model;
  std::unique_ptr<TextRunner> runner;

 private:
  static Position position(std::size_t at) {
    const auto p = static_cast<std::int32_t>(at);
    return {p, 2 * p, 3 * p};
  }
  void fill(DecoderGraph& graph, std::size_t row, std::size_t token) {
    const auto from = embedding(static_cast<std::int32_t>(token), model.options().hidden);
    std::copy(from.begin(), from.end(), graph.x(row).begin());
  }
};

TEST(Ladder, EveryTokenIsThatOfOneContext) {
  for (const ToyOptions& o : ladders()) {
    for (const std::size_t prompt : {1u, 9u, 10u, 11u, 19u, 20u, 21u, 35u}) {
      Session one(one_context(o)), several(o);
      one.prompt(prompt);
      several.prompt(prompt);
      ASSERT_EQ(several.logits(), one.logits()) << prompt;
      while (one.runner->cached() < kContext) {
        one.decode(1);
        several.decode(1);
        ASSERT_EQ(several.logits(), one.logits()) << prompt << ", " << one.runner->cached();
      }
    }
  }
}

TEST(Ladder, TheSmallestContextThatHoldsWhatIsCachedRuns) {
  Session session(ladder(true, QNN_DATATYPE_FLOAT_32));
  session.decode(kContext);
  ASSERT_EQ(session.model.trace.size(), kContext);
  for (std::size_t i = 0; i < kContext; ++i) {
    EXPECT_EQ(session.model.trace[i].first, i <= 10 ? 10u : i <= 20 ? 20u : 40u) << i;
    EXPECT_EQ(session.model.trace[i].second, 1u);
  }
}

TEST(Ladder, PromptsTakeTheLengthAndTheContextThatFit) {
  Session session(ladder(true, QNN_DATATYPE_FLOAT_32));
  session.prompt(2);
  session.prompt(8);
  session.prompt(16);
  using Call = std::pair<std::uint32_t, std::uint32_t>;
  EXPECT_THAT(session.model.trace, ElementsAre(Call{10, 3}, Call{10, 8}, Call{10, 8}, Call{20, 8}));
}

TEST(Ladder, ForgottenTokensLeaveTheLargeContext) {
  for (const ToyOptions& o : ladders()) {
    for (const std::size_t keep : {0u, 1u, 9u, 10u, 11u, 20u, 21u, 30u}) {
      Session one(one_context(o)), several(o);
      for (Session* session : {&one, &several}) {
        session->prompt(36);
        session->runner->truncate(keep);
        session->decode(1);
        session->prompt(4);
      }
      EXPECT_EQ(several.logits(), one.logits()) << keep;
      const auto expected = keep <= 10 ? 10u : keep <= 20 ? 20u : 40u;
      EXPECT_EQ(several.model.trace.end()[-2].first, expected) << keep;
    }
  }
}

TEST(Ladder, DecodeMayHaveMoreContextsThanPrefill) {
  ToyOptions o = ladder(true, QNN_DATATYPE_FLOAT_32);
  Session one(one_context(o)), several(one_context(o));
  ToyOptions with_decode = o;
  with_decode.prefill_rows = 0;
  const ToyModel decodes(with_decode);
  several.model.further = decodes.further;
  const auto spec = make_text_spec(manifest(), several.model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  several.runner = std::move(TextRunner::create(*spec, several.model)).value();
  for (Session* session : {&one, &several}) {
    for (int turn = 0; turn < 4; ++turn) {
      session->prompt(5);
      session->decode(3);
    }
  }
  EXPECT_EQ(several.logits(), one.logits());
}

TEST(Ladder, GraphsThatDoNotBelongTogetherAreRefused) {
  struct Case {
    const char* words[2];
    std::function<void(qnn::GraphInfo&)> change;
  };
  const auto set = [](const char* tensor, std::vector<std::uint32_t> dims) {
    return [=](qnn::GraphInfo& graph) {
      const_cast<qnn::TensorInfo&>(*graph.input(tensor)).dims = dims;
    };
  };
  const Case cases[] = {
      {{"graph decode_1_c20: input mask", "[1, 22]"}, set("mask", {1, 22})},
      {{"graph decode_1_c20: input past_v_1", "[2, 19, 6]"}, set("past_v_1", {2, 19, 6})},
      {{"graph decode_1_c20: input x", "[2, 8]"}, set("x", {2, 8})},
      {{"graph decode_1_c20: has a cache for 80", "holds 40"}, set("past_k_0", {2, 80, 6})},
  };
  for (const Case& c : cases) {
    ToyModel model(ladder(true, QNN_DATATYPE_FLOAT_32));
    c.change(model.further[Role::kDecode][0]);
    const Status status = make_text_spec(manifest(), model).status();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << status;
    EXPECT_THAT(status.message(), HasSubstr(c.words[0]));
    EXPECT_THAT(status.message(), HasSubstr(c.words[1]));
  }
  ToyOptions o = ladder(true, QNN_DATATYPE_FLOAT_32);
  o.deepstack = 2;
  ToyModel model(o);
  model.further[Role::kPrefill][0].inputs.erase(model.further[Role::kPrefill][0].inputs.begin() +
                                                5);
  EXPECT_THAT(make_text_spec(manifest(), model).status().message(), HasSubstr("deepstack inputs"));
}

}  // namespace
}  // namespace qhx::runtime
