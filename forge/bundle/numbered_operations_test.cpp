#include "forge/bundle/numbered_operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "forge/bundle/test_checkpoint.h"

namespace qhx::forge {
namespace {

using ::testing::HasSubstr;

TEST(NumberedOperations, ComeBackAsTheyWere) {
  const TestFolder folder("numbered_operations");
  const auto file = operations_file(folder.path(), "decode_1");
  qnn::OperationIds ids;
  for (const char* line :
       {"Validating Native Op Conv2d_17:x", "used as output with hexagon_nn_input[31, 0]",
        "Validating Native Op Unknown_2:x", "used as output with hexagon_nn_input[40, 0]"})
    ids.read_log_line(line);
  const std::vector<qnn::Operation> operations = {{"Reshape_1", "Reshape", "", ""},
                                                  {"Conv2d_17", "Conv2d", "layer 3", "w"}};
  ASSERT_TRUE(write_operations(file, ids, operations).ok());
  const auto read = read_operations(file);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 1u) << "those that have both a number and a name";
  const qnn::Operation& operation = read->at(31);
  EXPECT_EQ(operation.name, "Conv2d_17");
  EXPECT_EQ(operation.type, "Conv2d");
  EXPECT_EQ(operation.part, "layer 3");
  EXPECT_EQ(operation.weight, "w");
}

TEST(NumberedOperations, ADamagedFileIsNamed) {
  const TestFolder folder("damaged_operations");
  const auto file = folder.path() / "x.json";
  for (const char* text : {"", "{", "[1]", R"([{"id":-1}])", R"([{"id":1,"name":2}])"}) {
    ASSERT_TRUE(write_file(file, text).ok());
    const Status status = read_operations(file).status();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << text;
    EXPECT_THAT(status.message(), HasSubstr("x.json")) << text;
  }
}

}  // namespace
}  // namespace qhx::forge
