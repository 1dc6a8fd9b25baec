#include "qnn/simulated_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace qhx::qnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kEnd = R"(
  "Trace Provenance": {"Version": "1.1.0", "Hexagon-NN SHA": "v9.1.0.5."},
  "Hextimate Configuration": {"soc_type": "SM1", "vtcm_size_in_bytes": 8388608, "hvx_threads": 6,
    "sim_core_freq": 2000, "sim_hmx_freq": 1209.6, "sim_ddr_freq": 4761.6}})";

std::string event(const std::string& name, const std::string& flag, int track, int start,
                  int duration, int read, int written) {
  std::ostringstream text;
  text << R"({"name":")" << name << R"(","ph":"X","tid":)" << track << R"(,"pid":0,"ts":)" << start
       << R"(,"dur":)" << duration << R"(,"args":{"id":"0x9f7b0000001f","flags":[")" << flag
       << R"("],"input_dims":[[1,2]],"dmabytes":5,"bw_info":{"dram_read":)" << read
       << R"(,"dram_write":)" << written << R"(,"vtcm_read":7,"is_dma":1}}})";
  return text.str();
}

std::string trace(const std::string& events) {
  return R"({"traceEvents": [)" + events + "]," + kEnd;
}

struct Read {
  Result<SimulatedFacts> facts = internal_error("not read");
  struct Seen {
    std::string kind;
    SimulatedEvent event;
  };
  std::vector<Seen> events;
};

Read read(const std::string& text) {
  std::istringstream in(text);
  Read read;
  read.facts = read_simulated_trace(in, [&](const SimulatedEvent& e) {
    read.events.push_back({std::string(e.kind), e});
  });
  return read;
}

TEST(SimulatedTrace, TellsWhichUnitDoesWhatAndMovesHowMuch) {
  const Read r =
      read(trace(event("default_dma_start (q::*InputSlice)", "scalar", 0, 0, 150, 64, 8) + "," +
                 event("default_dma (q::*InputSlice)", "for_dma", 7, 150, 50, 64, 8) + "," +
                 event("q::ConvLayer.fp16.s1.tcm", "uses_hmx", 0, 200, 100, 0, 0) + "," +
                 event("q::Softmax", "for_hvx", 2, 210, 10, 3, 4) + "," +
                 event("q::MatMul", "for_hmx", 9, 300, 1700, 0, 0) + "," +
                 event("default_dma (@Spill)", "for_dma", 7, 400, 1, 0, 32)));
  ASSERT_TRUE(r.facts.ok()) << r.facts.status();
  ASSERT_EQ(r.events.size(), 6u);
  EXPECT_EQ(r.events[0].event.unit, SimulatedUnit::kControl);
  EXPECT_EQ(r.events[0].event.read_bytes, 0u) << "the transfer itself has them";
  EXPECT_EQ(r.events[1].event.unit, SimulatedUnit::kTransfer);
  EXPECT_EQ(r.events[1].kind, "InputSlice");
  EXPECT_EQ(r.events[1].event.read_bytes, 64u);
  EXPECT_EQ(r.events[1].event.written_bytes, 8u);
  EXPECT_EQ(r.events[2].event.unit, SimulatedUnit::kMatrix);
  EXPECT_EQ(r.events[2].kind, "ConvLayer.fp16.s1.tcm");
  EXPECT_EQ(r.events[2].event.operation, 0x1fu) << "the lower half of the id";
  EXPECT_EQ(r.events[3].event.unit, SimulatedUnit::kVector);
  EXPECT_EQ(r.events[3].event.start, 210);
  EXPECT_EQ(r.events[3].event.cycles, 10);
  EXPECT_EQ(r.events[3].event.track, 2);
  EXPECT_EQ(r.events[4].event.unit, SimulatedUnit::kMatrix);
  EXPECT_EQ(r.events[5].kind, "Spill");
}

TEST(SimulatedTrace, TellsTheChipAndTheTotal) {
  const Read r = read(
      trace(event("q::Add", "for_hvx", 1, 0, 4000, 0, 0) +
            R"(,{"name":"TCM usage","ph":"C","pid":0,"ts":0,"args":{"Bytes":4096}})"
            R"(,{"name":"TCM usage","ph":"C","pid":0,"ts":1,"args":{"Bytes":1024}})"
            R"(,{"name":"TCM allocated","ph":"C","pid":0,"ts":1,"args":{"Bytes":9999}})"
            R"(,{"name":"thread_name","ph":"M","tid":1,"pid":0,"args":{"name":"HVX 1:"}})"
            R"(,{"name":"thread_sort_index","ph":"M","tid":1,"pid":0,"args":{"sort_index":1}})"));
  ASSERT_TRUE(r.facts.ok()) << r.facts.status();
  EXPECT_EQ(r.facts->soc, "SM1");
  EXPECT_EQ(r.facts->library, "v9.1.0.5");
  EXPECT_EQ(r.facts->core_mhz, 2000);
  EXPECT_EQ(r.facts->matrix_mhz, 1209.6);
  EXPECT_EQ(r.facts->memory_mhz, 4761.6);
  EXPECT_EQ(r.facts->vector_threads, 6u);
  EXPECT_EQ(r.facts->vtcm_bytes, 8388608u);
  EXPECT_EQ(r.facts->vtcm_peak_bytes, 4096u);
  EXPECT_EQ(r.facts->cycles, 4000);
  EXPECT_EQ(r.facts->microseconds(r.facts->cycles), 2);
  EXPECT_THAT(r.facts->tracks, ElementsAre(Pair(1, "HVX 1")));
}

TEST(SimulatedTrace, WhatIsImpossibleIsAnError) {
  const auto message = [](const std::string& text) {
    const Read r = read(text);
    EXPECT_EQ(r.facts.status().code(), StatusCode::kCorrupt);
    return r.facts.status().message();
  };
  const std::string good = trace(event("q::Add", "for_hvx", 1, 0, 1, 0, 0));
  EXPECT_THAT(message(""), HasSubstr("no JSON"));
  EXPECT_THAT(message(good.substr(0, good.size() - 9)), HasSubstr("cut off"));
  EXPECT_THAT(message(trace("")), HasSubstr("no event"));
  EXPECT_THAT(message(trace(event("q::Add", "for_hvx", 1, -5, 1, 0, 0))),
              HasSubstr("event q::Add: expected a start"));
  EXPECT_THAT(message(trace(event("q::Add", "for_hvx", 1, 5, -1, 0, 0))), HasSubstr("duration"));
  EXPECT_THAT(message(trace(R"({"name":"a","ph":"X","ts":1e300,"dur":1})")), HasSubstr("start"));
  EXPECT_THAT(message(trace(R"({"name":"a","ph":"X","dur":1})")), HasSubstr("start"));
  EXPECT_THAT(message(R"({"traceEvents": [)" + event("q::Add", "for_hvx", 1, 0, 1, 0, 0) + "]}"),
              HasSubstr("sim_core_freq: expected the clock in MHz"));
}

TEST(SimulatedTrace, BytesAndNumbersOfOtherKindsAreNoDanger) {
  const Read r = read(trace(
      event("q::Add", "for_hvx", 1, 0, 1, 0, 0) +
      R"(,{"name":"b","ph":"X","ts":0,"dur":1,"tid":-3,"args":{"id":"7","flags":["for_dma"],)"
      R"("bw_info":{"dram_read":18446744073709551615,"dram_write":-4}}},[[[[[[[[{"ph":"X"}]]]]]]]],)"
      R"(null,true,"x",{"ph":["X"],"args":{"flags":{"name":1}}})"));
  ASSERT_TRUE(r.facts.ok()) << r.facts.status();
  ASSERT_EQ(r.events.size(), 2u);
  EXPECT_EQ(r.events[1].event.read_bytes, 0u);
  EXPECT_EQ(r.events[1].event.written_bytes, 0u);
  EXPECT_EQ(r.events[1].event.operation, 0u);
}

TEST(SimulatedTrace, ALibraryThatWroteNoneIsNamed) {
  const auto facts = read_simulated_trace("/nonexistent/trace.json", [](const SimulatedEvent&) {});
  EXPECT_EQ(facts.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(facts.status().message(), HasSubstr("v2.51.0"));
}

}  // namespace
}  // namespace qhx::qnn
