// Proofs on our CPU library (QHX_CPU_LIB) alone: against itself, and against other graphs.
#include "forge/bundle/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "forge/bundle/contexts.h"
#include "forge/bundle/output_folder.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Proof : public ::testing::TestWithParam<ContextKind> {
 protected:
  void SetUp() override {
    const char* library = std::getenv("QHX_CPU_LIB");
    if (library == nullptr) GTEST_SKIP() << "QHX_CPU_LIB is not set";
    make_checkpoint({}, folder_.path());
    config_ = hf::load_config(folder_.path()).value();
    checkpoint_.emplace(hf::Checkpoint::open(folder_.path()).value());
    backend_ = qnn::Backend::create(qnn::BackendLibrary::open(library).value(), {}).value();
    options_.target = *parse_target("v79");
    options_.image = {64, 64};
    options_.context_rows = {64};
    options_.prefill_rows = {8};
  }

  std::vector<qnn::Graph> build(WeightFormat format) {
    const WeightLoader weights(*checkpoint_, format, QNN_DATATYPE_FLOAT_16, pool_,
                               [](std::size_t) { return Status(); });
    return build_graphs({.kind = GetParam()}, {options_, config_, weights, {}}, backend_).value();
  }

  TestFolder folder_{"proof-"};
  ThreadPool pool_{2};
  hf::ModelConfig config_;
  std::optional<hf::Checkpoint> checkpoint_;
  std::shared_ptr<const qnn::Backend> backend_;
  ForgeOptions options_;
};

TEST_P(Proof, TheSameGraphsAgree) {
  const std::vector<qnn::Graph> graphs = build(WeightFormat::kF16);
  const auto trials = run_trials(graphs, config_, *checkpoint_);
  ASSERT_TRUE(trials.ok()) << trials.status();
  for (const auto& [graph, trial] : *trials) {
    for (const auto& [name, values] : trial.outputs)
      EXPECT_TRUE(std::isfinite(cosine(values, values))) << graph << " " << name;
  }
  const auto proofs = prove(build(WeightFormat::kW8), *trials);
  ASSERT_TRUE(proofs.ok()) << proofs.status();
  ASSERT_EQ(proofs->size(), graphs.size());
  for (const GraphProof& proof : *proofs) {
    EXPECT_GE(proof.cosine, kLeastProofCosine);
    EXPECT_LT(proof.cosine, 1) << "int8 weights are not the same as f16 ones";
  }
}

TEST_P(Proof, OneWrongOutputIsAnError) {
  const std::vector<qnn::Graph> graphs = build(WeightFormat::kF16);
  auto trials = run_trials(graphs, config_, *checkpoint_).value();
  auto& [name, values] = *trials.at(graphs.back().name()).outputs.begin();
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] = -values[i];
  const Status status = prove(graphs, trials).status();
  EXPECT_EQ(status.code(), StatusCode::kBackend);
  EXPECT_THAT(status.message(),
              HasSubstr("graph " + graphs.back().name() + ": output " + name + ": cosine"));
  values[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(prove(graphs, trials).ok());
}

TEST_P(Proof, NotesAreReadBack) {
  const GraphProof proof{.graph = "g", .worst_output = "y", .cosine = 0.9995, .seconds = 1.26};
  ASSERT_TRUE(write_proof_note(folder_.path() / "a.bin", std::span(&proof, 1)).ok());
  const auto notes = read_proof_notes(folder_.path());
  ASSERT_TRUE(notes.ok()) << notes.status();
  EXPECT_EQ(notes->dump(), R"({"a.bin":{"g":{"cosine":0.9995,"worst_output":"y","seconds":1.3}}})");
  for (const auto& file : bundle_files(folder_.path())) EXPECT_NE(file.filename(), "a.bin");
}

INSTANTIATE_TEST_SUITE_P(Contexts, Proof,
                         ::testing::Values(ContextKind::kVision, ContextKind::kText,
                                           ContextKind::kHead));

}  // namespace
}  // namespace qhx::forge
