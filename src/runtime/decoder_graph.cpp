#include "runtime/decoder_graph.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/f16.h"

namespace qhx::runtime {
namespace {

// Added to the score of what a row must not see: the lowest finite half, so that a sum with a score
// stays finite in f16 and the exponential is zero.
constexpr float kMasked = -kMaxF16;

// Whether a buffer for the one may be bound to the other.
bool alike(const qnn::TensorInfo* a, const qnn::TensorInfo* b) {
  return a != nullptr && b != nullptr && a->dims == b->dims && a->type == b->type &&
         a->quantized == b->quantized &&
         (!a->quantized || (a->scale == b->scale && a->offset == b->offset));
}

}  // namespace

Result<std::shared_ptr<CallBuffers>> CallBuffers::create(const qnn::GraphInfo& graph,
                                                         const TextSpec& spec,
                                                         std::size_t deepstack,
                                                         const qnn::TensorMemory& memory) {
  auto buffers = std::make_shared<CallBuffers>();
  buffers->made_for = graph;
  QHX_ASSIGN_OR_RETURN(buffers->x, FloatTensor::create(*graph.input("x"), memory));
  QHX_ASSIGN_OR_RETURN(buffers->cos, FloatTensor::create(*graph.input("cos"), memory));
  QHX_ASSIGN_OR_RETURN(buffers->sin, FloatTensor::create(*graph.input("sin"), memory));
  QHX_ASSIGN_OR_RETURN(buffers->y, FloatTensor::create(*graph.output("y"), memory));
  for (std::size_t k = 0; k < deepstack; ++k) {
    QHX_ASSIGN_OR_RETURN(FloatTensor tensor,
                         FloatTensor::create(*graph.input(deepstack_name(k)), memory));
    tensor.store();
    buffers->deepstack.push_back(std::move(tensor));
  }
  for (std::size_t i = 0; i < spec.kv.tensors(); ++i) {
    const qnn::TensorInfo& rows = *graph.output("new_" + kv_name(spec.kv, i));
    buffers->new_rows.push_back(memory.allocate(rows.size_bytes()));
  }
  return buffers;
}

bool CallBuffers::fit(const qnn::GraphInfo& graph) const {
  for (const qnn::TensorInfo& input : made_for.inputs) {
    if (input.name == "mask" || input.name.starts_with("past_")) continue;
    if (!alike(&input, graph.input(input.name))) return false;
  }
  const auto wanted = [](const qnn::TensorInfo& i) { return i.name.starts_with("deepstack_"); };
  if (std::count_if(graph.inputs.begin(), graph.inputs.end(), wanted) !=
      static_cast<std::ptrdiff_t>(deepstack.size()))
    return false;
  return std::all_of(
      made_for.outputs.begin(), made_for.outputs.end(),
      [&](const qnn::TensorInfo& output) { return alike(&output, graph.output(output.name)); });
}

Result<std::unique_ptr<DecoderGraph>> DecoderGraph::create(
    GraphExecutor& executor, const TextSpec& spec, const DecoderShape& shape, KvCache& cache,
    std::vector<std::shared_ptr<CallBuffers>>& known, const qnn::TensorMemory& memory) {
  const qnn::GraphInfo& info = executor.info();
  std::unique_ptr<DecoderGraph> graph(new DecoderGraph());
  graph->shape_ = shape;
  graph->hidden_ = spec.hidden;
  graph->table_width_ = info.input("cos")->element_count() / shape.rows;
  for (const auto& buffers : known) {
    if (graph->buffers_ == nullptr && buffers->fit(info)) graph->buffers_ = buffers;
  }
  if (graph->buffers_ == nullptr) {
    const std::size_t deepstack = shape.role == Role::kPrefill ? spec.deepstack : 0;
    QHX_ASSIGN_OR_RETURN(graph->buffers_, CallBuffers::create(info, spec, deepstack, memory));
    known.push_back(graph->buffers_);
  }
  QHX_ASSIGN_OR_RETURN(graph->mask_, FloatTensor::create(*info.input("mask"), memory));
  QHX_RETURN_IF_ERROR(graph->bind(executor, spec, cache));
  return graph;
}

Status DecoderGraph::bind(GraphExecutor& executor, const TextSpec& spec, KvCache& cache) {
  CallBuffers& b = *buffers_;
  std::vector<std::string> names;  // the buffers refer to them
  names.reserve(b.deepstack.size() + 2 * spec.kv.tensors());
  std::vector<NamedBuffer> all = {{"x", b.x.bytes()},
                                  {"cos", b.cos.bytes()},
                                  {"sin", b.sin.bytes()},
                                  {"mask", mask_.bytes()},
                                  {"y", b.y.bytes()}};
  const auto add = [&](std::string name, std::span<std::byte> bytes) {
    names.push_back(std::move(name));
    all.push_back({names.back(), bytes});
  };
  for (std::size_t k = 0; k < b.deepstack.size(); ++k)
    add(deepstack_name(k), b.deepstack[k].bytes());
  for (std::size_t i = 0; i < spec.kv.tensors(); ++i) {
    const std::string name = kv_name(spec.kv, i);
    if (shape_.context > 0) add("past_" + name, cache.tensor(i, shape_.context));
    add("new_" + name, b.new_rows[i].bytes());
  }
  QHX_ASSIGN_OR_RETURN(graph_, executor.bind(all));
  return {};
}

// Row r sees the cached tokens, the rows before it and itself. A padding row sees itself only: its
// result is dropped, but must not become NaN on the way.
void DecoderGraph::fill_mask(std::size_t count, std::size_t cached) {
  const std::size_t past = shape_.context, width = past + shape_.rows;
  for (std::size_t r = 0; r < shape_.rows; ++r) {
    const std::span<float> row = mask_.floats().subspan(r * width, width);
    const std::span<float> own = row.subspan(past);
    std::fill(row.begin(), row.end(), kMasked);
    own[r] = 0;
    if (r >= count) continue;
    std::fill_n(row.begin(), cached, 0.0f);
    std::fill_n(own.begin(), r, 0.0f);
  }
  mask_.store();
}

void DecoderGraph::fill_rotary(std::span<const Position> positions, const RotaryTable& rotary) {
  for (std::size_t r = 0; r < positions.size(); ++r) {
    rotary.fill(positions[r], buffers_->cos.floats().subspan(r * table_width_, table_width_),
                buffers_->sin.floats().subspan(r * table_width_, table_width_));
  }
  buffers_->cos.store();
  buffers_->sin.store();
}

Status DecoderGraph::run(std::span<const Position> positions, std::size_t cached,
                         const RotaryTable& rotary) {
  const std::size_t count = positions.size();
  QHX_CHECK(count > 0 && count <= shape_.rows && cached <= shape_.context);
  const std::span<float> padding = buffers_->x.floats().subspan(count * hidden_);
  std::fill(padding.begin(), padding.end(), 0.0f);
  buffers_->x.store();
  fill_rotary(positions, rotary);
  fill_mask(count, cached);
  if (!buffers_->deepstack_dirty) return graph_->execute();
  for (FloatTensor& tensor : buffers_->deepstack) tensor.store();
  const Status status = graph_->execute();
  for (FloatTensor& tensor : buffers_->deepstack) {
    std::fill(tensor.floats().begin(), tensor.floats().end(), 0.0f);
    tensor.store();
  }
  buffers_->deepstack_dirty = false;
  return status;
}

void DecoderGraph::keep(std::size_t count, std::size_t at, KvCache& cache) {
  for (std::size_t i = 0; i < buffers_->new_rows.size(); ++i)
    cache.write(i, buffers_->new_rows[i].bytes(), shape_.rows, at, count);
}

}  // namespace qhx::runtime
