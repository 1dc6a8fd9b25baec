#include "runtime/text_runner.h"

#include <algorithm>
#include <string>

#include "base/f16.h"

namespace qhx::runtime {
namespace {

// Added to the score of what a row must not see: the lowest finite half, so that a sum with a score
// stays finite in f16 and the exponential is zero.
constexpr float kMasked = -kMaxF16;

const qnn::TensorInfo& input(const GraphExecutor& executor, const std::string& name) {
  return *executor.info().input(name);
}

}  // namespace

Result<std::unique_ptr<DecoderGraph>> DecoderGraph::create(GraphExecutor& executor,
                                                           const TextSpec& spec, std::size_t rows,
                                                           bool has_past, std::size_t deepstack,
                                                           KvCache& cache) {
  std::unique_ptr<DecoderGraph> graph(new DecoderGraph());
  graph->hidden_ = spec.hidden;
  graph->rows_ = rows;
  graph->past_ = has_past ? spec.context : 0;
  graph->layers_ = spec.layers;
  graph->cache_ = &cache;
  graph->table_width_ = input(executor, "cos").element_count() / rows;
  QHX_ASSIGN_OR_RETURN(graph->x_, FloatTensor::create(input(executor, "x")));
  QHX_ASSIGN_OR_RETURN(graph->cos_, FloatTensor::create(input(executor, "cos")));
  QHX_ASSIGN_OR_RETURN(graph->sin_, FloatTensor::create(input(executor, "sin")));
  QHX_ASSIGN_OR_RETURN(graph->mask_, FloatTensor::create(input(executor, "mask")));
  QHX_ASSIGN_OR_RETURN(graph->y_, FloatTensor::create(*executor.info().output("y")));

  std::vector<std::string> names;  // the buffers refer to them
  names.reserve(deepstack + 4 * spec.layers);
  std::vector<NamedBuffer> buffers = {{"x", graph->x_.bytes()},
                                      {"cos", graph->cos_.bytes()},
                                      {"sin", graph->sin_.bytes()},
                                      {"mask", graph->mask_.bytes()},
                                      {"y", graph->y_.bytes()}};
  const auto add = [&](const std::string& name, std::span<std::byte> bytes) {
    names.push_back(name);
    buffers.push_back({names.back(), bytes});
  };
  for (std::size_t k = 0; k < deepstack; ++k) {
    const std::string name = "deepstack_" + std::to_string(k);
    QHX_ASSIGN_OR_RETURN(FloatTensor tensor, FloatTensor::create(input(executor, name)));
    graph->deepstack_.push_back(std::move(tensor));
    graph->deepstack_.back().store();
    add(name, graph->deepstack_.back().bytes());
  }
  for (std::size_t layer = 0; layer < spec.layers; ++layer) {
    for (const auto kind : {KvCache::kKey, KvCache::kValue}) {
      const std::string suffix = (kind == KvCache::kKey ? "k_" : "v_") + std::to_string(layer);
      if (has_past) add("past_" + suffix, cache.tensor(layer, kind));
      graph->new_rows_.emplace_back(executor.info().output("new_" + suffix)->size_bytes());
      add("new_" + suffix, graph->new_rows_.back().bytes());
    }
  }
  QHX_ASSIGN_OR_RETURN(graph->graph_, executor.bind(buffers));
  return graph;
}

// Row r sees the cached tokens, the rows before it and itself. A padding row sees itself only: its
// result is dropped, but must not become NaN on the way.
void DecoderGraph::fill_mask(std::size_t count, std::size_t cached) {
  const std::size_t width = past_ + rows_;
  for (std::size_t r = 0; r < rows_; ++r) {
    const std::span<float> row = mask_.floats().subspan(r * width, width);
    const std::span<float> own = row.subspan(past_);
    std::fill(row.begin(), row.end(), kMasked);
    own[r] = 0;
    if (r >= count) continue;
    std::fill_n(row.begin(), std::min(cached, past_), 0.0f);
    std::fill_n(own.begin(), r, 0.0f);
  }
  mask_.store();
}

void DecoderGraph::fill_rotary(std::span<const Position> positions, const RotaryTable& rotary) {
  for (std::size_t r = 0; r < positions.size(); ++r) {
    rotary.fill(positions[r], cos_.floats().subspan(r * table_width_, table_width_),
                sin_.floats().subspan(r * table_width_, table_width_));
  }
  cos_.store();
  sin_.store();
}

Status DecoderGraph::run(std::span<const Position> positions, std::size_t cached,
                         const RotaryTable& rotary) {
  const std::size_t count = positions.size();
  QHX_CHECK(count > 0 && count <= rows_ && (past_ != 0 || cached == 0));
  const std::span<float> padding = x_.floats().subspan(count * hidden_);
  std::fill(padding.begin(), padding.end(), 0.0f);
  x_.store();
  fill_rotary(positions, rotary);
  fill_mask(count, cached);
  const bool had_deepstack = deepstack_dirty_;
  if (had_deepstack) {
    for (FloatTensor& tensor : deepstack_) tensor.store();
  }
  const Status status = graph_->execute();
  if (had_deepstack) {
    for (FloatTensor& tensor : deepstack_) {
      std::fill(tensor.floats().begin(), tensor.floats().end(), 0.0f);
      tensor.store();
    }
    deepstack_dirty_ = false;
  }
  QHX_RETURN_IF_ERROR(status);
  for (std::size_t i = 0; i < new_rows_.size(); ++i) {
    const auto kind = i % 2 == 0 ? KvCache::kKey : KvCache::kValue;
    cache_->write(i / 2, kind, new_rows_[i].bytes(), rows_, cached, count);
  }
  return {};
}

Result<std::unique_ptr<TextRunner>> TextRunner::create(const TextSpec& spec,
                                                       GraphProvider& graphs) {
  std::unique_ptr<TextRunner> runner(new TextRunner(spec));
  QHX_ASSIGN_OR_RETURN(const auto decode, graphs.open(Role::kDecode));
  QHX_ASSIGN_OR_RETURN(runner->decode_,
                       DecoderGraph::create(*decode, spec, 1, true, 0, runner->cache_));
  if (spec.prefill_rows > 0) {
    QHX_ASSIGN_OR_RETURN(const auto prefill, graphs.open(Role::kPrefill));
    QHX_ASSIGN_OR_RETURN(runner->prefill_,
                         DecoderGraph::create(*prefill, spec, spec.prefill_rows, spec.prefill_past,
                                              spec.deepstack, runner->cache_));
  }
  QHX_ASSIGN_OR_RETURN(const auto head, graphs.open(Role::kHead));
  QHX_RETURN_IF_ERROR(runner->create_head(*head));
  return runner;
}

Status TextRunner::create_head(GraphExecutor& executor) {
  const qnn::TensorInfo& x = *find_or_only(executor.info().inputs, "x");
  const qnn::TensorInfo& logits = *find_or_only(executor.info().outputs, "logits");
  QHX_ASSIGN_OR_RETURN(head_x_, FloatTensor::create(x));
  QHX_ASSIGN_OR_RETURN(logits_, FloatTensor::create(logits));
  const NamedBuffer buffers[] = {{x.name, head_x_.bytes()}, {logits.name, logits_.bytes()}};
  QHX_ASSIGN_OR_RETURN(head_, executor.bind(buffers));
  return {};
}

void TextRunner::truncate(std::size_t count) {
  QHX_CHECK(count <= cached_);
  cached_ = count;
}

Status TextRunner::run(DecoderGraph& graph, std::span<const Position> positions) {
  QHX_CHECK(cached_ + positions.size() <= spec_.context);
  QHX_RETURN_IF_ERROR(graph.run(positions, cached_, rotary_));
  cached_ += positions.size();
  const std::span<const float> last = graph.y(positions.size() - 1);
  std::copy(last.begin(), last.end(), hidden_.begin());
  return {};
}

Status TextRunner::run_prefill(std::span<const Position> positions) {
  QHX_CHECK(prefill_ != nullptr);
  ++runs_.prefill;
  return run(*prefill_, positions);
}

Status TextRunner::run_decode(Position position) {
  ++runs_.decode;
  return run(*decode_, {&position, 1});
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
