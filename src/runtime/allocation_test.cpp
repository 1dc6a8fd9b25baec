// A decode step allocates nothing: embedding row, decode graph, head, sampler.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "fakes/toy_bundle.h"
#include "runtime/text_runner.h"
#include "sampling/sampler.h"

namespace {
std::atomic<bool> counting = false;
std::atomic<int> allocations = 0;
}  // namespace

// Not inlined: GCC would then see free() on memory from new and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// std::stable_sort asks for its buffer so.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace qhx::runtime {
namespace {

TEST(DecodeStep, AllocatesNothing) {
  for (const auto type : {QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_FLOAT_16}) {
    fakes::ToyOptions options;
    options.type = type;
    options.int8_cache = type == QNN_DATATYPE_FLOAT_32;
    options.further_contexts = {4, 8};  // left for a larger one on the way
    fakes::ToyBundle bundle(options);
    const auto engine = std::move(bundle.engine()).value();
    const auto runner =
        std::move(TextRunner::create(engine->text_spec(), engine->graphs())).value();
    sampling::Sampler sampler(engine->text_spec().vocab);
    sampler.configure({.temperature = 1,
                       .top_k = 20,
                       .top_p = 0.9f,
                       .min_p = 0.01f,
                       .repetition_penalty = 1.1f,
                       .seed = 1});
    std::vector<std::int32_t> history = {1};
    history.reserve(64);
    const auto step = [&] {
      ASSERT_TRUE(engine->embeddings().row(history.back(), runner->decode().x(0)).ok());
      const auto at = static_cast<std::int32_t>(runner->cached());
      ASSERT_TRUE(runner->run_decode({at, at, at}).ok());
      const auto logits = runner->run_head();
      ASSERT_TRUE(logits.ok());
      history.push_back(*sampler.next(*logits, history));
    };
    const TextSpec& spec = runner->spec();
    const std::size_t several = spec.graphs.size() - 2;
    ASSERT_EQ(spec.graphs[several].role, Role::kPrefill);
    const std::vector<Position> positions = {{13, 13, 13}, {14, 14, 14}, {15, 15, 15}};
    // The toy's own scratch memory.
    step();
    ASSERT_TRUE(runner->run(several, positions).ok());
    runner->truncate(1);
    counting = true;
    for (int i = 0; i < 12; ++i) step();
    EXPECT_EQ(bundle.model().trace.back().first, options.context);
    // Several tokens at once, of which one stays.
    ASSERT_TRUE(runner->run(several, positions).ok());
    runner->use_row(several, 0);
    runner->truncate(14);
    step();
    counting = false;
    EXPECT_EQ(allocations, 0);
  }
}

TEST(DecodeStep, TheCounterCounts) {
  counting = true;
  int* volatile kept = new int(1);  // volatile: the pair may otherwise be optimised away
  delete kept;
  counting = false;
  EXPECT_GE(allocations.exchange(0), 1);
}

}  // namespace
}  // namespace qhx::runtime
