#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "bench/machine.h"
#include "bench/observed_graphs.h"
#include "bench/page_cache.h"
#include "bench/samples.h"
#include "fakes/toy_model.h"

namespace qhx::bench {
namespace {

namespace fs = std::filesystem;

TEST(Samples, MedianLiesBetweenMinAndMax) {
  EXPECT_EQ((Samples{{3, 1, 2}}).median(), 2);
  EXPECT_EQ((Samples{{4, 1, 2, 3}}).median(), 2.5);
  EXPECT_EQ((Samples{{7}}).median(), 7);
  const Samples samples{{5, 1, 9}};
  EXPECT_EQ(samples.min(), 1);
  EXPECT_EQ(samples.max(), 9);
  EXPECT_THAT(samples.rates(10).values, ::testing::ElementsAre(2, 10, 10.0 / 9));
}

TEST(Machine, TellsWhatItIsAndWhatWeHold) {
  EXPECT_FALSE(cpu_model().empty());
  EXPECT_GT(resident_bytes(), 0u);
  std::vector<char> held(std::size_t{64} << 20, 1);
  const std::uint64_t peak = peak_resident_bytes();
  EXPECT_GE(peak, held.size());
  held = {};
  EXPECT_GE(peak_resident_bytes(), peak);
}

TEST(Machine, OurOwnWorkIsNotThatOfOthers) {
  const OtherLoad others;
  const std::clock_t own_start = std::clock();
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  volatile double x = 1;
  while (std::chrono::steady_clock::now() < end) x = x * 1.0000001;
  const double own = static_cast<double>(std::clock() - own_start) / CLOCKS_PER_SEC / 0.3;
  // Whatever runs beside this test. The system counts in ticks of 10 ms on each CPU.
  const double all = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  EXPECT_GE(others.cores(), 0.0);
  EXPECT_LE(others.cores(), all - own + 0.1 + 0.05 * all);
}

TEST(PageCache, FilesGoInAndOut) {
  const fs::path folder = fs::temp_directory_path() / ("qhx-cache-" + std::to_string(::getpid()));
  fs::create_directory(folder);
  const std::vector<fs::path> files = {folder / "a", folder / "empty"};
  std::ofstream(files[0], std::ios::binary) << std::string(1 << 20, 'x');
  std::ofstream(files[1], std::ios::binary).flush();
  ASSERT_TRUE(read_into_cache(files).ok());
  const auto warm = cached_bytes(files);
  ASSERT_TRUE(warm.ok());
  EXPECT_EQ(*warm, std::uint64_t{1} << 20);
  ASSERT_TRUE(drop_from_cache(files).ok());
  const auto cold = cached_bytes(files);
  ASSERT_TRUE(cold.ok());
  EXPECT_LE(*cold, *warm);  // a file system in memory keeps them
  EXPECT_EQ(drop_from_cache({folder / "gone"}).code(), StatusCode::kNotFound);
  EXPECT_EQ(read_into_cache({folder / "gone"}).code(), StatusCode::kNotFound);
  EXPECT_EQ(cached_bytes({folder / "gone"}).status().code(), StatusCode::kNotFound);
  fs::remove_all(folder);
}

TEST(ObservedGraphs, CountsWhatIsExecuted) {
  RoleTimes times;
  ObservedGraphs graphs(std::make_unique<fakes::ToyModel>(fakes::ToyOptions{}), times);
  ASSERT_EQ(graphs.infos(runtime::Role::kHead).size(), 1u);
  auto head = graphs.open(runtime::Role::kHead, 0);
  ASSERT_TRUE(head.ok()) << head.status();
  std::vector<std::vector<std::byte>> memory;
  std::vector<runtime::NamedBuffer> buffers;
  for (const auto* tensors : {&(*head)->info().inputs, &(*head)->info().outputs}) {
    for (const qnn::TensorInfo& tensor : *tensors) {
      memory.emplace_back(tensor.size_bytes());
      buffers.push_back({tensor.name, memory.back()});
    }
  }
  auto bound = (*head)->bind(buffers);
  ASSERT_TRUE(bound.ok()) << bound.status();
  ASSERT_TRUE((*bound)->execute().ok());
  ASSERT_TRUE((*bound)->execute().ok());
  EXPECT_EQ(times.of(runtime::Role::kHead).runs, 2u);
  EXPECT_GT(times.of(runtime::Role::kHead).ms, 0);
  EXPECT_EQ(times.of(runtime::Role::kDecode).runs, 0u);
  EXPECT_FALSE(graphs.open(runtime::Role::kVision, 0).ok());
}

}  // namespace
}  // namespace qhx::bench
