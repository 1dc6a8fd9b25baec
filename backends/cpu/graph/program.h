// A graph made ready to run: its steps in order, the memory plan, and the arena.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "graph/ir.h"
#include "graph/plan.h"
#include "ops/op.h"

namespace qhx::cpu {

// What graphs run with. One for each backend handle.
struct Engine {
  Engine(int threads, const KernelTable* table, bool fuse_ops, Activations form)
      : pool(threads), kernels(table), fuse(fuse_ops), activations(form) {}
  ThreadPool pool;
  const KernelTable* kernels;
  bool fuse;
  Activations activations;
};

// Receives the time of each step.
struct StepTime {
  const Node* node;  // lives as long as the program
  std::uint64_t microseconds;
};

// execute() may be called from several threads; calls are served one after the other.
class Program {
 public:
  // `graph` is executable (verify_executable).
  static Result<std::unique_ptr<Program>> create(std::shared_ptr<const Graph> graph,
                                                 std::shared_ptr<Engine> engine,
                                                 Activations activations);

  // Buffers of the graph's inputs and outputs, in its order, each of the tensor's size and aligned
  // for its element type. The first call checks the weights (kCorrupt) and allocates the arena;
  // later ones allocate nothing.
  Status execute(std::span<const void* const> inputs, std::span<void* const> outputs,
                 std::vector<StepTime>* times = nullptr);

  const MemoryPlan& plan() const { return plan_; }
  std::size_t steps() const { return steps_.size(); }

 private:
  struct Step {
    const Node* node;
    RunFunction run;
  };
  Program(std::shared_ptr<const Graph> graph, std::shared_ptr<Engine> engine,
          Activations activations, MemoryPlan plan);
  Status check_weights();
  void allocate();
  void bind(std::span<const void* const> inputs, std::span<void* const> outputs);

  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<Engine> engine_;
  Activations activations_;
  MemoryPlan plan_;
  std::vector<Step> steps_;
  std::size_t scratch_stride_ = 0;
  std::size_t shared_bytes_ = 0;

  std::mutex mutex_;  // guards all below
  bool ready_ = false;
  AlignedBuffer arena_;
  AlignedBuffer scratch_;
  AlignedBuffer shared_;
  std::vector<std::byte*> data_;  // by tensor
};

}  // namespace qhx::cpu
