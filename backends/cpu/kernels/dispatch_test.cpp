#include <cstdlib>

#include "kernels/test_util.h"

namespace qhx::cpu {
namespace {

using ::testing::HasSubstr;

// Sets QHX_CPU_TARGET for the life of the object.
class ForcedTarget {
 public:
  explicit ForcedTarget(const char* name) { setenv(kTargetVariable, name, 1); }
  ~ForcedTarget() { unsetenv(kTargetVariable); }
};

TEST(Dispatch, ScalarIsAlwaysThereAndLast) {
  const auto tables = supported_kernels();
  ASSERT_FALSE(tables.empty());
  EXPECT_STREQ(tables.back()->name, "scalar");
}

TEST(Dispatch, BestIsTheDefault) {
  unsetenv(kTargetVariable);
  EXPECT_EQ(select_kernels().value(), supported_kernels().front());
  const ForcedTarget forced("");
  EXPECT_EQ(select_kernels().value(), supported_kernels().front());
}

TEST(Dispatch, EveryTargetCanBeForcedAndDiffers) {
  std::vector<decltype(KernelTable::linear)> seen;
  for (const KernelTable* table : supported_kernels()) {
    const ForcedTarget forced(table->name);
    const auto selected = select_kernels();
    ASSERT_TRUE(selected.ok()) << selected.status();
    EXPECT_EQ(*selected, table);
    EXPECT_EQ(kernels_named(table->name).value(), table);
    EXPECT_THAT(seen, ::testing::Not(::testing::Contains((*selected)->linear)));
    seen.push_back((*selected)->linear);
  }
}

TEST(Dispatch, UnknownNameListsTheChoices) {
  const ForcedTarget forced("sse9");
  const auto selected = select_kernels();
  ASSERT_FALSE(selected.ok());
  EXPECT_EQ(selected.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(selected.status().message(), HasSubstr("sse9"));
  EXPECT_THAT(selected.status().message(), HasSubstr(kTargetVariable));
  for (const KernelTable* table : supported_kernels()) {
    EXPECT_THAT(selected.status().message(), HasSubstr(table->name));
  }
}

TEST(Dispatch, NamesAreMatchedWhole) {
  EXPECT_FALSE(kernels_named("scala").ok());
  EXPECT_FALSE(kernels_named("Scalar").ok());
  EXPECT_FALSE(kernels_named("").ok());
}

TEST(Dispatch, ATargetOfAnotherMachineIsRefused) {
#if defined(__aarch64__)
  EXPECT_FALSE(kernels_named("avx2").ok());
#else
  EXPECT_FALSE(kernels_named("neon").ok());
#endif
}

}  // namespace
}  // namespace qhx::cpu
