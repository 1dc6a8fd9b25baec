// Sums, what follows from them, and how they are shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profile/html_text.h"
#include "profile/report.h"
#include "profile/summary.h"

namespace qhx::profile {
namespace {

using qnn::SimulatedEvent;
using qnn::SimulatedUnit;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

SimulatedEvent event(std::string_view kind, std::uint32_t operation, SimulatedUnit unit,
                     double cycles, std::uint64_t read = 0, std::uint64_t written = 0) {
  return {.kind = kind,
          .operation = operation,
          .unit = unit,
          .track = 1,
          .start = 0,
          .cycles = cycles,
          .read_bytes = read,
          .written_bytes = written};
}

// When the other one has ended.
SimulatedEvent later(std::string_view kind, std::uint32_t operation, SimulatedUnit unit,
                     double cycles) {
  SimulatedEvent after = event(kind, operation, unit, cycles);
  after.start = 1000;
  return after;
}

qnn::SimulatedFacts facts(double cycles) {
  qnn::SimulatedFacts facts;
  facts.soc = "SM1";
  facts.core_mhz = 2;  // two cycles a microsecond
  facts.vector_threads = 6;
  facts.cycles = cycles;
  return facts;
}

const forge::NumberedOperations kOperations = {
    {1, {"Reshape_1", "Reshape", "", ""}},
    {2, {"Conv2d_2", "Conv2d", "layer 0", "m.layers.0.mlp.up_proj.weight"}},
    {3, {"MatMul_3", "MatMul", "layer 0", ""}},
    {4, {"MatMul_4", "MatMul", "layer 0", ""}},
    {5, {"Conv2d_5", "Conv2d", "layer 1", "m.layers.1.mlp.up_proj.weight"}},
    {6, {"MatMul_6", "MatMul", "layer 1", ""}},
    {7, {"ElementWiseBinary_7", "ElementWiseBinary", "layer 1", "mlp_scale_17"}},
    {8, {"Conv2d_8", "Conv2d", "layer 1", "m.blocks.1.attn.qkv.weight[0:64]"}},
    {9, {"Conv2d_9", "Conv2d", "merger", "m.merger.linear_fc1.weight"}},
};

GraphProfile summarized(std::initializer_list<SimulatedEvent> events) {
  Summary summary(kOperations);
  for (const SimulatedEvent& e : events) summary.add(e);
  GraphProfile profile;
  profile.graph = "decode_1";
  profile.stage = Stage::kDecode;
  profile.target = "v79";
  summary.finish(facts(2000), profile);
  return profile;
}

std::vector<std::string> names(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row.name);
  return names;
}

TEST(Summary, AddsUpByKindTypePlaceAndPart) {
  const GraphProfile p = summarized(
      {event("conv", 2, SimulatedUnit::kMatrix, 100), event("conv", 5, SimulatedUnit::kMatrix, 140),
       event("load", 5, SimulatedUnit::kTransfer, 10, 640, 0),
       event("mm", 3, SimulatedUnit::kVector, 20), event("mm", 4, SimulatedUnit::kVector, 30),
       event("mm", 6, SimulatedUnit::kVector, 40), event("mul", 7, SimulatedUnit::kVector, 2),
       event("await", 5, SimulatedUnit::kControl, 900)});
  EXPECT_EQ(p.us, 1000);
  EXPECT_EQ(p.total.busy(SimulatedUnit::kMatrix), 120);
  EXPECT_EQ(p.total.busy(SimulatedUnit::kVector), 46);
  EXPECT_EQ(p.total.busy(SimulatedUnit::kTransfer), 5);
  EXPECT_EQ(p.total.working_us(), 171) << "control only waits";
  EXPECT_EQ(p.total.read_bytes, 640u);
  EXPECT_THAT(names(p.kinds), ElementsAre("conv", "mm", "load", "mul", "await"));
  EXPECT_THAT(names(p.types), ElementsAre("Conv2d", "MatMul", "ElementWiseBinary"));
  EXPECT_THAT(names(p.places), ElementsAre("Conv2d mlp.up_proj", "MatMul #1", "MatMul #2",
                                           "ElementWiseBinary mlp_scale"));
  EXPECT_EQ(p.places[1].sums.busy(SimulatedUnit::kVector), 30) << "the first of both layers";
  EXPECT_THAT(names(p.parts), ElementsAre("layer 1", "layer 0"));
  EXPECT_EQ(p.operations.front().name, "layer 1: Conv2d mlp.up_proj");
  EXPECT_EQ(p.operations.front().sums.events, 3u);
}

TEST(Summary, TellsWhatTheGraphWaitsFor) {
  Summary summary(kOperations);
  const auto add = [&](std::string_view kind, std::uint32_t operation, SimulatedUnit unit,
                       double start, double cycles) {
    SimulatedEvent e = event(kind, operation, unit, cycles);
    e.start = start;
    summary.add(e);
  };
  add("mm", 3, SimulatedUnit::kVector, 0, 100);
  add("soft", 4, SimulatedUnit::kVector, 40, 20);  // two threads for a while
  add("conv", 2, SimulatedUnit::kMatrix, 80, 60);
  add("load", 2, SimulatedUnit::kTransfer, 200, 10);
  add("await", 2, SimulatedUnit::kControl, 0, 240);
  GraphProfile p;
  summary.finish(facts(240), p);
  EXPECT_EQ(p.alone_us[static_cast<std::size_t>(SimulatedUnit::kVector)], 40);
  EXPECT_EQ(p.alone_us[static_cast<std::size_t>(SimulatedUnit::kMatrix)], 20);
  EXPECT_EQ(p.alone_us[static_cast<std::size_t>(SimulatedUnit::kTransfer)], 5);
  EXPECT_EQ(p.several_us, 10);
  EXPECT_EQ(p.none_us, 45);
  const auto alone = [&](const std::string& place) {
    for (const Row& row : p.places) {
      if (row.name == place) return row.sums.alone_us;
    }
    return -1.0;
  };
  EXPECT_EQ(alone("MatMul #1"), 35) << "20, half of 10 with the softmax, 10";
  EXPECT_EQ(alone("MatMul #2"), 5);
  EXPECT_EQ(alone("Conv2d mlp.up_proj"), 25);
  EXPECT_EQ(p.places[0].name, "MatMul #1");
  EXPECT_EQ(p.places[0].sums.time_us, 40) << "and half of the time beside the convolution";
  EXPECT_EQ(p.total.time_us + p.none_us, p.us);
  EXPECT_EQ(p.total.alone_us, 65);
}

TEST(Summary, OnlyLayersGrowWithTheModel) {
  GraphProfile p = summarized({event("load", 1, SimulatedUnit::kTransfer, 400),
                               later("conv", 2, SimulatedUnit::kMatrix, 1000)});
  p.layers = 2;
  p.of_layers = 6;
  EXPECT_EQ(p.outside_us, 200);
  EXPECT_EQ(p.layer_us(), 400);
  EXPECT_EQ(p.model_us(), 200 + 6 * 400);
}

TEST(Summary, KnowsSpillsAndWhatHasNoName) {
  const GraphProfile p = summarized({event("Spill", 3, SimulatedUnit::kTransfer, 8, 0, 300),
                                     event("Fill", 3, SimulatedUnit::kTransfer, 8, 200, 0),
                                     event("InputSlice", 99, SimulatedUnit::kTransfer, 90, 5, 0)});
  EXPECT_EQ(p.spilled_bytes, 300u);
  EXPECT_EQ(p.filled_bytes, 200u);
  EXPECT_THAT(p.places.front().name, HasSubstr("unnamed"));
}

TEST(Summary, PlacesAreNamedByWhatAWeightIsInItsLayer) {
  const GraphProfile p = summarized(
      {event("conv", 8, SimulatedUnit::kMatrix, 8), event("conv", 9, SimulatedUnit::kMatrix, 4)});
  EXPECT_THAT(names(p.places), ElementsAre("Conv2d attn.qkv[0:64]", "Conv2d m.merger.linear_fc1"));
}

TEST(Summary, TheTimelineHasTheLongestEvents) {
  Summary summary(kOperations);
  for (int i = 0; i < 5000; ++i) summary.add(event("short", 3, SimulatedUnit::kVector, 1));
  summary.add(event("long", 2, SimulatedUnit::kVector, 50));
  summary.add(event("middle", 77, SimulatedUnit::kVector, 20));
  GraphProfile p;
  summary.finish(facts(100), p);
  ASSERT_EQ(p.timeline.size(), 4000u);
  EXPECT_EQ(p.timeline[0].kind, "long");
  EXPECT_EQ(p.timeline[0].us, 25);
  EXPECT_EQ(p.timeline[0].operation, "layer 0: Conv2d mlp.up_proj");
  EXPECT_EQ(p.timeline[1].kind, "middle");
  EXPECT_EQ(p.timeline[1].operation, "");
}

GraphProfile timed(Stage stage, const std::string& graph, double us, std::uint32_t rows = 0,
                   std::uint32_t context = 0) {
  GraphProfile p;
  p.stage = stage;
  p.graph = graph;
  p.target = "v79";
  p.us = us;
  p.rows = rows;
  p.context_rows = context;
  if (stage != Stage::kHead) p.layers = p.of_layers = 4;
  p.facts = facts(1);
  return p;
}

Report small_report() {
  Report report;
  report.model = "m";
  report.weights = "w8";
  report.image = "512";
  report.image_tokens = 256;
  report.graphs = {
      timed(Stage::kVision, "vision", 5000), timed(Stage::kPrefill, "prefill_64", 1000, 64, 512),
      timed(Stage::kPrefill, "prefill_200", 1500, 200, 512),
      timed(Stage::kDecode, "decode_1", 900, 1, 512), timed(Stage::kHead, "lmhead", 100)};
  report.derived = derive(report);
  return report;
}

TEST(Derived, FirstTokenTakesTheCheapestCallsAndDecodeTheHead) {
  const Report report = small_report();
  ASSERT_EQ(report.derived.size(), 1u);
  const Derived& derived = report.derived.front();
  EXPECT_EQ(derived.prompt_tokens, 320u);
  EXPECT_EQ(derived.first_token_us, 5000 + 2 * 1500 + 100) << "against 5 calls of 64";
  ASSERT_EQ(derived.decode.size(), 1u);
  EXPECT_EQ(derived.decode[0].context_rows, 512u);
  EXPECT_EQ(derived.decode[0].tokens_per_second, 1000);
  EXPECT_FALSE(derived.extrapolated);
}

TEST(Derived, FewerLayersAreGrownAndSaidToBe) {
  Report report = small_report();
  report.graphs[3].layers = 1;
  const Derived derived = derive(report).front();
  EXPECT_TRUE(derived.extrapolated);
  EXPECT_EQ(derived.decode[0].tokens_per_second, 1e6 / (4 * 900 + 100));
  report.derived = derive(report);
  const std::string text = print_text(report, 3);
  EXPECT_THAT(text, HasSubstr("1/4"));
  EXPECT_THAT(text, HasSubstr("~3.60"));
  EXPECT_THAT(text, HasSubstr("about 270.3 tokens/s"));
}

TEST(Derived, NothingFollowsFromPartsOfATurn) {
  Report report = small_report();
  report.graphs.pop_back();
  EXPECT_TRUE(derive(report).empty());
}

TEST(ReportText, SaysThatTimesAreSimulatedAndOfWhat) {
  Report report = small_report();
  for (GraphProfile& graph : report.graphs) {
    graph.corner = 9;
    graph.facts.library = "v9.9.1";
  }
  const std::string text = print_text(report, 0);
  EXPECT_THAT(text, HasSubstr("Simulated by the vendor's library, not measured"));
  EXPECT_THAT(text, HasSubstr("SM1 at corner 9"));
  EXPECT_THAT(text, HasSubstr("library v9.9.1"));
  EXPECT_THAT(text, HasSubstr("8.10 ms"));
}

TEST(ReportJson, ComesBackAsItWas) {
  Report report = small_report();
  report.drawn_weights = true;
  report.graphs.push_back(summarized({event("conv", 2, SimulatedUnit::kMatrix, 100, 7, 9),
                                      event("Spill", 3, SimulatedUnit::kTransfer, 8, 0, 300)}));
  report.graphs.back().finalize_seconds = 1.5;
  report.derived = derive(report);
  const std::string printed = print_json(report).dump();
  const auto again = parse_json(printed);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(print_json(*again).dump(), printed);
  EXPECT_EQ(again->graphs.back().spilled_bytes, 300u);
}

TEST(ReportJson, OtherFilesAreRefused) {
  EXPECT_EQ(parse_json("{").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(parse_json("{}").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(parse_json(R"({"format":"qhx-profile-2"})").status().code(), StatusCode::kUnsupported);
  nlohmann::ordered_json report = print_json(small_report());
  report["graphs"][0]["layers"] = 0;
  EXPECT_THAT(parse_json(report.dump()).status().message(), HasSubstr("layers"));
}

TEST(Diff, ShowsWhatChangedAndWhatCannotBeCompared) {
  Report before = small_report(), after = small_report();
  before.graphs[3] = summarized(
      {event("conv", 2, SimulatedUnit::kMatrix, 100), later("mm", 3, SimulatedUnit::kVector, 60)});
  after.graphs[3] = summarized(
      {event("conv", 2, SimulatedUnit::kMatrix, 100), later("mm", 3, SimulatedUnit::kVector, 20)});
  after.graphs[3].us = 500;
  after.graphs[3].corner = 7;
  after.graphs[1].graph = "prefill_32";
  const std::string text = print_diff(before, after, 5);
  EXPECT_THAT(text, HasSubstr("-50.0 %"));
  EXPECT_THAT(text, HasSubstr("corner 0 before, 7 after"));
  EXPECT_THAT(text, HasSubstr("only before: v79 prefill_64"));
  EXPECT_THAT(text, HasSubstr("only after: v79 prefill_32"));
  EXPECT_THAT(text, HasSubstr("MatMul #1"));
  EXPECT_THAT(text, HasSubstr("-66.7 %"));
  EXPECT_THAT(text, Not(HasSubstr("Conv2d mlp.up_proj"))) << "it did not change";
}

TEST(HtmlText, EscapesWhatHtmlReads) {
  EXPECT_EQ(html_text("a<b>&\"c'\n"), "a&lt;b&gt;&amp;&quot;c&#39; ");
}

TEST(ReportHtml, IsOnePageWithATimelineAndNothingFromOutside) {
  Report report = small_report();
  report.model = "<script>alert(1)</script>";
  report.graphs[3] = summarized({event("a<b>", 2, SimulatedUnit::kMatrix, 100)});
  const std::string html = print_html(report);
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, HasSubstr("a&lt;b&gt;, layer 0: Conv2d mlp.up_proj, 50.0 us at 0.0 us"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("a<b>")));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
}

}  // namespace
}  // namespace qhx::profile
