#include "graph/program.h"

#include <chrono>
#include <set>

namespace qhx::cpu {
namespace {

constexpr std::size_t round_up(std::size_t value) {
  return (value + AlignedBuffer::kAlignment - 1) / AlignedBuffer::kAlignment *
         AlignedBuffer::kAlignment;
}

// Kernels take static and client inputs through the table of places that outputs use too; none
// writes to its inputs.
std::byte* place(const void* bytes) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(bytes));
}

bool is_view(const Node& node, const MemoryPlan& plan) {
  return (node.type == "Reshape" || node.type == "ExpandDims") &&
         plan.root[static_cast<std::size_t>(node.inputs[0])] ==
             plan.root[static_cast<std::size_t>(node.outputs[0])];
}

}  // namespace

Program::Program(std::shared_ptr<const Graph> graph, std::shared_ptr<Engine> engine,
                 Activations activations, MemoryPlan plan)
    : graph_(std::move(graph)),
      engine_(std::move(engine)),
      activations_(activations),
      plan_(std::move(plan)) {}

Result<std::unique_ptr<Program>> Program::create(std::shared_ptr<const Graph> graph,
                                                 std::shared_ptr<Engine> engine,
                                                 Activations activations) {
  QHX_ASSIGN_OR_RETURN(MemoryPlan plan, plan_memory(*graph));
  std::unique_ptr<Program> program(
      new Program(std::move(graph), std::move(engine), activations, std::move(plan)));
  for (const Node& node : program->graph_->nodes) {
    if (is_view(node, program->plan_)) continue;
    const OpDefinition& op = *find_op(node.type);
    RunFunction run = op.prepare(*program->graph_, node, program->engine_->pool.size());
    if (run == nullptr)
      return unsupported("node '" + node.name + "': " + node.type + " between these types");
    program->steps_.push_back({&node, std::move(run)});
    if (op.scratch_bytes != nullptr) {
      const std::size_t scratch =
          op.scratch_bytes(*program->graph_, node, *program->engine_->kernels);
      program->scratch_stride_ = std::max(program->scratch_stride_, round_up(scratch));
    }
    if (op.shared_bytes != nullptr) {
      program->shared_bytes_ =
          std::max(program->shared_bytes_, op.shared_bytes(*program->graph_, node));
    }
  }
  return program;
}

Status Program::check_weights() {
  std::set<const Blob*> distinct;
  for (const Tensor& tensor : graph_->tensors) {
    if (tensor.is_static() && !tensor.blob->verified()) distinct.insert(tensor.blob.get());
  }
  const std::vector<const Blob*> blobs(distinct.begin(), distinct.end());
  std::atomic<std::size_t> damaged = 0;
  engine_->pool.run(blobs.size(), [&](std::size_t i) {
    if (!blobs[i]->verify()) damaged.fetch_add(1);
  });
  if (damaged == 0) return {};
  for (const Tensor& tensor : graph_->tensors) {
    if (tensor.is_static() && !tensor.blob->verified()) {
      return corrupt(
          "graph '" + graph_->name + "': stored values of '" + tensor.name +
          "' do not have their checksum: the context binary is damaged; forge or fetch it again");
    }
  }
  return {};
}

void Program::allocate() {
  arena_ = AlignedBuffer(plan_.arena_bytes);
  scratch_ = AlignedBuffer(scratch_stride_ * static_cast<std::size_t>(engine_->pool.size()));
  shared_ = AlignedBuffer(shared_bytes_);
  data_.assign(graph_->tensors.size(), nullptr);
  for (std::size_t i = 0; i < data_.size(); ++i) {
    const auto root = static_cast<std::size_t>(plan_.root[i]);
    const Tensor& tensor = graph_->tensors[root];
    if (tensor.is_static()) {
      data_[i] = place(tensor.blob->data());
    } else if (tensor.role == Role::kNative) {
      data_[i] = arena_.data() + plan_.arena_offset[root];
    }
  }
}

void Program::bind(std::span<const void* const> inputs, std::span<void* const> outputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    data_[static_cast<std::size_t>(graph_->inputs[i])] = place(inputs[i]);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    data_[static_cast<std::size_t>(graph_->outputs[i])] = place(outputs[i]);
  }
  for (std::size_t i = 0; i < data_.size(); ++i) {
    const auto root = static_cast<std::size_t>(plan_.root[i]);
    const Role role = graph_->tensors[root].role;
    if (role == Role::kInput || role == Role::kOutput) data_[i] = data_[root];
  }
}

Status Program::execute(std::span<const void* const> inputs, std::span<void* const> outputs,
                        std::vector<StepTime>* times) {
  QHX_CHECK(inputs.size() == graph_->inputs.size() && outputs.size() == graph_->outputs.size());
  const std::lock_guard lock(mutex_);
  if (!ready_) {
    QHX_RETURN_IF_ERROR(check_weights());
    allocate();
    ready_ = true;
  }
  bind(inputs, outputs);
  std::atomic<const char*> failure = nullptr;
  const Run run{.data = data_,
                .pool = engine_->pool,
                .kernels = *engine_->kernels,
                .scratch = scratch_.data(),
                .scratch_stride = scratch_stride_,
                .shared = shared_.data(),
                .activations = activations_,
                .failure = failure};
  using Clock = std::chrono::steady_clock;
  for (const Step& step : steps_) {
    const auto start = times != nullptr ? Clock::now() : Clock::time_point();
    step.run(run);
    if (times != nullptr) {
      const auto spent = std::chrono::round<std::chrono::microseconds>(Clock::now() - start);
      times->push_back({step.node, static_cast<std::uint64_t>(spent.count())});
    }
    if (failure != nullptr)
      return invalid_argument("node '" + step.node->name + "': " + failure.load());
  }
  return {};
}

}  // namespace qhx::cpu
