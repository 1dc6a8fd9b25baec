#include "qnn/node_times.h"

#include <gtest/gtest.h>

#include <iterator>

namespace qhx::qnn {
namespace {

TEST(NodeKind, IsTheTypeOrTheNameWithoutItsNumber) {
  EXPECT_EQ(node_kind("ElementWiseBinary_23:qhx.Linear"), "qhx.Linear");
  EXPECT_EQ(node_kind("Conv2d_17:OpId_25 (cycles)"), "Conv2d");
  EXPECT_EQ(node_kind("q_proj_0"), "q_proj");
  EXPECT_EQ(node_kind("softmax"), "softmax");
  EXPECT_EQ(node_kind("_7"), "_7");
  EXPECT_EQ(node_kind("42"), "42");
  EXPECT_EQ(node_kind("x:"), "x");
  EXPECT_EQ(node_kind(""), "");
}

// A library whose profile has one execution of three nodes and an event of another kind.
struct Event {
  std::uint32_t type;
  std::uint64_t value;
  const char* name;
};
constexpr Event kEvents[] = {{400, 100, "graph"},
                             {404, 30, "a_1:Add"},
                             {404, 40, "a_2:Add"},
                             {404, 20, "m_3:MatMul"},
                             {401, 5, "wait"}};
constexpr std::uint64_t kIds[] = {0, 1, 2, 3, 4};
int living_profiles = 0;

QnnInterface_ImplementationV2_t scripted_library() {
  QnnInterface_ImplementationV2_t api{};
  api.profileCreate = [](Qnn_BackendHandle_t, std::uint32_t level, Qnn_ProfileHandle_t* profile) {
    *profile = &living_profiles;
    ++living_profiles;
    return Qnn_ErrorHandle_t{level == 2 ? 0u : 1u};
  };
  api.profileGetEvents = [](Qnn_ProfileHandle_t, const std::uint64_t** events,
                            std::uint32_t* count) {
    *events = kIds;
    *count = 1;
    return Qnn_ErrorHandle_t{0};
  };
  api.profileGetSubEvents = [](std::uint64_t event, const std::uint64_t** events,
                               std::uint32_t* count) {
    *events = event == 0 ? kIds + 1 : nullptr;
    *count = event == 0 ? 4 : 0;
    return Qnn_ErrorHandle_t{0};
  };
  api.profileGetEventData = [](std::uint64_t event, QnnProfile_EventData_t* data) {
    *data = {kEvents[event].type, 1, kEvents[event].value, kEvents[event].name};
    return Qnn_ErrorHandle_t{event < std::size(kEvents) ? 0u : 1u};
  };
  api.profileFree = [](Qnn_ProfileHandle_t) {
    --living_profiles;
    return Qnn_ErrorHandle_t{0};
  };
  return api;
}

TEST(NodeTimes, SumsNodesByGraphAndKind) {
  const QnnInterface_ImplementationV2_t api = scripted_library();
  {
    const auto times = NodeTimes::create(api, nullptr);
    ASSERT_NE(times, nullptr);
    EXPECT_EQ(living_profiles, 1);
    times->collect("decode");
    times->collect("decode");
    times->collect("head");
    ASSERT_EQ(times->sums().size(), 2u);
    const auto& decode = times->sums().at("decode");
    ASSERT_EQ(decode.size(), 2u);
    EXPECT_EQ(decode.at("Add").nodes, 4u);
    EXPECT_EQ(decode.at("Add").time, 140u);
    EXPECT_EQ(decode.at("MatMul").time, 40u);
    EXPECT_EQ(times->sums().at("head").at("Add").time, 70u);
    times->reset();
    EXPECT_TRUE(times->sums().empty());
  }
  EXPECT_EQ(living_profiles, 0);
}

TEST(NodeTimes, ALibraryMayHaveNone) {
  EXPECT_EQ(NodeTimes::create({}, nullptr), nullptr);
  QnnInterface_ImplementationV2_t api = scripted_library();
  api.profileCreate = [](Qnn_BackendHandle_t, std::uint32_t, Qnn_ProfileHandle_t*) {
    return Qnn_ErrorHandle_t{1000};
  };
  EXPECT_EQ(NodeTimes::create(api, nullptr), nullptr);
}

}  // namespace
}  // namespace qhx::qnn
