// What an operation is to the rest of the backend: a check of one node and a way to run it.
//
// Public ops are what clients add; internal ones ("qhx.…") are made by the rewriting passes and
// read from context binaries. Both are checked by the same functions, on the way in and after
// loading, so that the run functions may rely on every shape and type.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "graph/ir.h"
#include "kernels/kernels.h"

namespace qhx::cpu {

// Names of the internal ops.
namespace internal_op {
inline constexpr std::string_view kLinear = "qhx.Linear";
inline constexpr std::string_view kAttention = "qhx.Attention";
inline constexpr std::string_view kHeadRope = "qhx.HeadRope";
inline constexpr std::string_view kSiluMul = "qhx.SiluMul";
inline constexpr std::string_view kSilu = "qhx.Silu";
inline constexpr std::string_view kScaleMask = "qhx.ScaleMask";
inline constexpr std::string_view kQuantizeRows = "qhx.QuantizeRows";
}  // namespace internal_op

// A node with its tensors. Absent optional inputs are null.
struct OpView {
  const Node& node;
  std::vector<const Tensor*> inputs;
  std::vector<const Tensor*> outputs;
};

// Calls of few rows are bound by reading the weights or check guesses of decode steps: they compute
// as decode does.
inline constexpr std::size_t kExactRows = 16;

// What linears with integer weights multiply by: floats, or the activations quantized in groups, to
// 8 bits or to two pieces of them (kernel_table.h). kAuto: by the number of rows and the target.
// Of 8 bits in calls of more than kExactRows: with kInt8 all, and attention rounds both of its
// products (kernel_table.h); with kMixed what reaches no softmax, and attention rounds the second;
// with kWide, of that, what goes into layers with more outputs than inputs.
enum class Activations : std::uint8_t { kAuto, kF32, kInt16, kWide, kMixed, kInt8 };
Result<Activations> parse_activations(std::string_view text, std::string_view what);

// One execution of a graph: where its tensors are, by index.
struct Run {
  std::span<std::byte* const> data;
  ThreadPool& pool;
  const KernelTable& kernels;
  std::byte* scratch;  // pool.size() pieces of scratch_stride bytes, each 64-byte aligned
  std::size_t scratch_stride;
  std::byte* shared;  // of all threads: the op's shared_bytes, 64-byte aligned
  Activations activations;
  std::atomic<const char*>&
      failure;  // set by an op that meets values it cannot work with; a string literal

  template <typename T>
  const T* in(int tensor) const {
    return reinterpret_cast<const T*>(data[static_cast<std::size_t>(tensor)]);
  }
  template <typename T>
  T* out(int tensor) const {
    return reinterpret_cast<T*>(data[static_cast<std::size_t>(tensor)]);
  }
};

// Calls work(item, scratch) for every item in [0, items), on all threads of the pool; each thread
// at work at a time has scratch of its own. Items start in rising order.
template <typename Work>
void parallel(const Run& run, std::size_t items, Work&& work) {
  const std::size_t slots = std::min<std::size_t>(items, static_cast<std::size_t>(run.pool.size()));
  if (slots <= 1) {
    for (std::size_t i = 0; i < items; ++i) work(i, run.scratch);
    return;
  }
  std::atomic<std::size_t> next = 0;
  run.pool.run(slots, [&](std::size_t slot) {
    for (std::size_t i = next.fetch_add(1); i < items; i = next.fetch_add(1)) {
      work(i, run.scratch + slot * run.scratch_stride);
    }
  });
}

// Splits [0, count) into ranges of about `grain` elements or more and calls work(begin, end,
// scratch) for each.
template <typename Work>
void parallel_ranges(const Run& run, std::size_t count, std::size_t grain, Work&& work) {
  const std::size_t most = 4 * static_cast<std::size_t>(run.pool.size());
  const std::size_t pieces =
      std::clamp<std::size_t>(count / std::max<std::size_t>(grain, 1), 1, most);
  parallel(run, pieces, [&](std::size_t i, std::byte* scratch) {
    work(count * i / pieces, count * (i + 1) / pieces, scratch);
  });
}

using RunFunction = std::function<void(const Run&)>;

struct OpDefinition {
  std::string_view type;
  Status (*check)(const OpView& op);
  // Null for ops that finalize always rewrites into others.
  RunFunction (*prepare)(const Graph& graph, const Node& node, int threads);
  // Bytes of scratch each thread needs; null: none.
  std::size_t (*scratch_bytes)(const Graph& graph, const Node& node,
                               const KernelTable& kernels) = nullptr;
  // Bytes of memory that all threads share during the op; null: none.
  std::size_t (*shared_bytes)(const Graph& graph, const Node& node) = nullptr;
  // Inputs (bit i: input i) and outputs that may be f16 when the op runs; all other floats are f32
  // by then.
  std::uint32_t f16_inputs = 0;
  std::uint32_t f16_outputs = 0;
};

// Null if there is no such op.
const OpDefinition* find_op(std::string_view type);
inline bool is_internal(std::string_view type) { return type.starts_with("qhx."); }
// Names of all public ops.
std::vector<std::string_view> public_ops();

// ---- Helpers for checks. Their messages start with the op's type and name. ----

Status op_error(const OpView& op, std::string_view message);
// "input 1 'w' f16 [3, 4]"
std::string describe(const OpView& op, bool is_input, std::size_t index);

Status expect_counts(const OpView& op, std::size_t least_inputs, std::size_t most_inputs,
                     std::size_t outputs);
// No parameter besides these.
Status expect_params(const OpView& op, std::initializer_list<std::string_view> allowed);
Status expect_input_dims(const OpView& op, std::size_t input, const Dims& dims);
Status expect_output_dims(const OpView& op, std::size_t output, const Dims& dims);
// The inputs in `inputs` and all outputs are floating point and of one type.
Status expect_one_float_type(const OpView& op, std::initializer_list<std::size_t> inputs);
// All inputs and outputs are of one type, which may be any that is stored as it is (not quantized).
Status expect_one_type(const OpView& op);
// Parameter `name` is a list of distinct axes below `rank`, rising.
Status expect_axes(const OpView& op, std::size_t rank);

// Products of dims[begin … end).
std::uint64_t product(const Dims& dims, std::size_t begin, std::size_t end);

}  // namespace qhx::cpu
