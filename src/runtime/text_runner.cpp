#include "runtime/text_runner.h"

#include <algorithm>

#include "base/check.h"

namespace qhx::runtime {

Result<std::unique_ptr<TextRunner>> TextRunner::create(const TextSpec& spec,
                                                       GraphProvider& graphs) {
  const qnn::TensorMemory memory = graphs.memory();
  std::unique_ptr<TextRunner> runner(new TextRunner(spec, memory));
  std::vector<std::shared_ptr<CallBuffers>> buffers;
  for (const DecoderShape& shape : spec.graphs) {
    QHX_ASSIGN_OR_RETURN(const auto executor, graphs.open(shape.role, shape.index));
    QHX_ASSIGN_OR_RETURN(
        auto graph, DecoderGraph::create(*executor, spec, shape, runner->cache_, buffers, memory));
    runner->graphs_.push_back(std::move(graph));
  }
  QHX_ASSIGN_OR_RETURN(const auto head, graphs.open(Role::kHead));
  QHX_RETURN_IF_ERROR(runner->create_head(*head, memory));
  return runner;
}

Status TextRunner::create_head(GraphExecutor& executor, const qnn::TensorMemory& memory) {
  const qnn::TensorInfo& x = *find_or_only(executor.info().inputs, "x");
  const qnn::TensorInfo& logits = *find_or_only(executor.info().outputs, "logits");
  QHX_ASSIGN_OR_RETURN(head_x_, FloatTensor::create(x, memory));
  QHX_ASSIGN_OR_RETURN(logits_, FloatTensor::create(logits, memory));
  const NamedBuffer buffers[] = {{x.name, head_x_.bytes()}, {logits.name, logits_.bytes()}};
  QHX_ASSIGN_OR_RETURN(head_, executor.bind(buffers));
  return {};
}

void TextRunner::truncate(std::size_t count) {
  QHX_CHECK(count <= cached_);
  cached_ = count;
}

std::vector<std::span<std::byte>> TextRunner::rows(std::size_t first, std::size_t count) {
  QHX_CHECK(first + count <= cached_);
  return cache_.pieces(first, count);
}

std::vector<std::span<std::byte>> TextRunner::room(std::size_t count) {
  QHX_CHECK(cached_ + count <= spec_.context);
  cache_.arrange(spec_.context_for(cached_ + count), cached_);
  return cache_.pieces(cached_, count);
}

void TextRunner::accept(std::size_t count) {
  QHX_CHECK(cached_ + count <= cache_.rows());
  cached_ += count;
}

// The cache lies as the last graph read it, or in a larger arrangement once it has outgrown that;
// so rows move only when one context is left for another, not at every step.
Status TextRunner::run(std::size_t index, std::span<const Position> positions) {
  DecoderGraph& graph = *graphs_[index];
  const std::size_t count = positions.size(), context = graph.shape().context;
  QHX_CHECK(cached_ <= context && cached_ + count <= spec_.context);
  ++(graph.shape().role == Role::kDecode ? runs_.decode : runs_.prefill);
  if (context > 0) cache_.arrange(context, cached_);
  QHX_RETURN_IF_ERROR(graph.run(positions, cached_, rotary_));
  if (cached_ + count > cache_.rows()) cache_.arrange(spec_.context_for(cached_ + count), cached_);
  graph.keep(count, cached_, cache_);
  cached_ += count;
  use_row(index, count - 1);
  return {};
}

void TextRunner::use_row(std::size_t graph, std::size_t row) {
  const std::span<const float> y = graphs_[graph]->y(row);
  std::copy(y.begin(), y.end(), hidden_.begin());
}

Result<std::span<const float>> TextRunner::run_head() {
  ++runs_.head;
  std::copy(hidden_.begin(), hidden_.end(), head_x_.floats().begin());
  head_x_.store();
  QHX_RETURN_IF_ERROR(head_->execute());
  logits_.load();
  return std::span<const float>(logits_.floats());
}

}  // namespace qhx::runtime
