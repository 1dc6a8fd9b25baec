#include "qnn/operation_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qhx::qnn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

OperationIds read(std::initializer_list<const char*> lines) {
  OperationIds ids;
  for (const char* line : lines) ids.read_log_line(line);
  return ids;
}

TEST(OperationIds, AnOperationHasTheNumberThatFollowsItsValidation) {
  const OperationIds ids = read({" <V> Validating Native Op RmsNorm_13:qti.aisw:RmsNorm",
                                 " <V> TypicalOp qti.aisw::RmsNorm appending params",
                                 " <V> Tensor 11 used as output with hexagon_nn_input[24, 0]",
                                 " <V> Validating Native Op Conv2d_17:qti.aisw:Conv2d",
                                 " <V> Tensor 14 used as output with hexagon_nn_input[31, 0]"});
  EXPECT_THAT(ids.names(), ElementsAre(Pair(24u, "RmsNorm_13"), Pair(31u, "Conv2d_17")));
}

TEST(OperationIds, AnOperationWithSeveralOutputsKeepsItsNumber) {
  const OperationIds ids = read({"Validating Native Op TopK_4:qti.aisw:TopK",
                                 "Tensor 7 used as output with hexagon_nn_input[9, 0]",
                                 "Tensor 8 used as output with hexagon_nn_input[9, 1]"});
  EXPECT_THAT(ids.names(), ElementsAre(Pair(9u, "TopK_4")));
}

TEST(OperationIds, LinesThatSaySomethingElseChangeNothing) {
  const OperationIds ids =
      read({"Tensor 11 used as output with hexagon_nn_input[24, 0]", "Validating Native Op ",
            "Validating Native Op Reshape_1:qti.aisw:Reshape",
            "Tensor 2 used as output with hexagon_nn_input[",
            "Tensor 2 used as output with hexagon_nn_input[x, 0]",
            "Tensor 2 used as output with hexagon_nn_input[99999999999, 0]", ""});
  EXPECT_THAT(ids.names(), IsEmpty());
}

}  // namespace
}  // namespace qhx::qnn
