#include "forge/bundle/preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

using ::testing::HasSubstr;

class Preparation : public ::testing::Test {
 protected:
  Preparation()
      : config_(hf::parse_config(make_config({.hidden = 512, .ffn = 1024}).dump(), "", "").value()),
        weights_(static_cast<std::uint64_t>(ContextWeights(config_).text)) {
    options_.target = *parse_target("v79");
    qnn::GraphInfo graph;
    graph.name = "decode_1";
    graph.htp = qnn::HtpGraphFacts{
        .vtcm_bytes = 8u << 20, .optimization = 3, .dlbc = true, .shared_weight_bytes = weights_};
    binary_.graphs = {graph};
  }

  Status check() {
    return check_preparation({.kind = ContextKind::kText}, options_, config_, binary_);
  }

  ForgeOptions options_;
  hf::ModelConfig config_;
  std::uint64_t weights_;
  qnn::BinaryInfo binary_;
};

TEST_F(Preparation, AsAskedForPasses) {
  EXPECT_TRUE(check().ok()) << check();
  binary_.graphs[0].htp.reset();
  EXPECT_TRUE(check().ok()) << "a library that records nothing";
}

TEST_F(Preparation, OptionsThatWereNotFollowedAreErrors) {
  binary_.graphs[0].htp->dlbc = false;
  EXPECT_THAT(check().message(), HasSubstr("graph decode_1: the library prepared it with DLBC 0"));
  EXPECT_EQ(check().code(), StatusCode::kBackend);
  binary_.graphs[0].htp->dlbc = true;
  binary_.graphs[0].htp->vtcm_bytes = 4u << 20;
  EXPECT_THAT(check().message(), HasSubstr("VTCM bytes 4194304, asked for was 8388608"));
  binary_.graphs[0].htp->vtcm_bytes = 8u << 20;
  binary_.graphs[0].htp->optimization = 2;
  EXPECT_THAT(check().message(), HasSubstr("optimization level 2, asked for was 3"));
}

TEST_F(Preparation, Int8WeightsMustStayInt8) {
  ASSERT_GT(weights_, 4'000'000u) << "or the room for other bytes hides the weights";
  binary_.graphs[0].htp->own_weight_bytes = weights_;  // two bytes each, shared and own
  EXPECT_THAT(check().message(), HasSubstr("the library has widened them"));
  options_.weights = WeightFormat::kF16;
  EXPECT_TRUE(check().ok()) << check();
}

TEST_F(Preparation, FourBitWeightsMustStayFourBits) {
  options_.weights = WeightFormat::kW4;
  binary_.graphs[0].htp->shared_weight_bytes = 2 * weights_;
  EXPECT_THAT(check().message(), HasSubstr("w4 weights: the library has widened them"));
  binary_.graphs[0].htp->shared_weight_bytes = weights_ * 9 / 16;
  EXPECT_TRUE(check().ok()) << check();
}

}  // namespace
}  // namespace qhx::forge
