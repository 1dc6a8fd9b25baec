#include "fakes/toy_model.h"

#include <cmath>

namespace qhx::fakes {

using runtime::NamedBuffer;
using runtime::Role;

namespace {

qnn::TensorInfo tensor(std::string name, Qnn_DataType_t type, std::vector<std::uint32_t> dims) {
  qnn::TensorInfo info;
  info.name = std::move(name);
  info.type = type;
  info.dims = std::move(dims);
  return info;
}

// A bound tensor as floats.
class View {
 public:
  View() = default;
  View(std::span<std::byte> bytes, Qnn_DataType_t type) : bytes_(bytes), type_(type) {}
  float get(std::size_t i) const {
    if (type_ == QNN_DATATYPE_INT_8)
      return static_cast<float>(reinterpret_cast<const std::int8_t*>(bytes_.data())[i]);
    if (type_ == QNN_DATATYPE_FLOAT_16)
      return f16_to_f32(reinterpret_cast<const std::uint16_t*>(bytes_.data())[i]);
    return reinterpret_cast<const float*>(bytes_.data())[i];
  }
  void set(std::size_t i, float value) const {
    if (type_ == QNN_DATATYPE_INT_8)
      reinterpret_cast<std::int8_t*>(bytes_.data())[i] = static_cast<std::int8_t>(value);
    else if (type_ == QNN_DATATYPE_FLOAT_16)
      reinterpret_cast<std::uint16_t*>(bytes_.data())[i] = f32_to_f16(value);
    else
      reinterpret_cast<float*>(bytes_.data())[i] = value;
  }
  bool bound() const { return !bytes_.empty(); }

 private:
  std::span<std::byte> bytes_;
  Qnn_DataType_t type_ = QNN_DATATYPE_UNDEFINED;
};

// Rows of keys or values, of integers if there are scales.
struct CacheRows {
  View values, scales;

  float get(std::size_t row, std::size_t width, std::size_t d) const {
    const float value = values.get(row * width + d);
    return scales.bound() ? value * scales.get(row) : value;
  }
  void set(std::size_t row, const std::vector<float>& from) const {
    float scale = 1;
    if (scales.bound()) {
      for (const float value : from) scale = std::max(scale, std::abs(value));
      scale /= 127;
      scales.set(row, scale);
    }
    for (std::size_t d = 0; d < from.size(); ++d) {
      const float value = from[d] / scale;
      values.set(row * from.size() + d, scales.bound() ? std::nearbyint(value) : value);
    }
  }
};

}  // namespace

class ToyExecutor final : public runtime::GraphExecutor {
 public:
  ToyExecutor(ToyModel& model, Role role, const qnn::GraphInfo& info)
      : model_(model), role_(role), info_(info) {}
  const qnn::GraphInfo& info() const override { return info_; }
  Result<std::unique_ptr<runtime::BoundGraph>> bind(std::span<const NamedBuffer> buffers) override;
  void rest() override { ++model_.rests[role_]; }

 private:
  class Bound;
  ToyModel& model_;
  Role role_;
  const qnn::GraphInfo& info_;
};

class ToyExecutor::Bound final : public runtime::BoundGraph {
 public:
  Bound(ToyModel& model, Role role, const qnn::GraphInfo& info, std::map<std::string, View> views)
      : model_(model), o_(model.options()), role_(role), views_(std::move(views)) {
    if (const qnn::TensorInfo* mask = info.input("mask")) {
      rows_ = mask->dims[0];
      context_ = mask->dims[1] - rows_;
    }
    for (std::uint32_t layer = 0; layer < o_.layers && views_.contains("new_k_0"); ++layer) {
      for (const char* kind : {"k_", "v_"}) {
        const std::string i = std::to_string(layer), scale = std::string(kind) + "scale_" + i;
        past_.push_back({view("past_" + (kind + i)), view("past_" + scale)});
        fresh_.push_back({view("new_" + (kind + i)), view("new_" + scale)});
      }
    }
    if (views_.contains("x")) x_ = views_.at("x");
    if (views_.contains("y")) y_ = views_.at("y");
    row_.resize(o_.head_dim);
  }

  Status execute() override {
    if (model_.before) {
      if (Status status = model_.before(role_); !status.ok()) return status;
    }
    ++model_.runs[role_];
    if (role_ == Role::kVision) {
      vision();
    } else if (role_ == Role::kHead) {
      head();
    } else {
      decoder();
    }
    return {};
  }

 private:
  // Empty if there is no such tensor.
  View view(const std::string& name) const {
    const auto found = views_.find(name);
    return found == views_.end() ? View() : found->second;
  }

  // Place of (row, head) in a cache of `rows`, in units of head_dim.
  std::size_t at(std::uint32_t rows, std::uint32_t row, std::uint32_t h) const {
    return o_.head_major ? std::size_t{h} * rows + row : std::size_t{row} * o_.kv_heads + h;
  }

  void decoder() {
    const std::uint32_t rows = rows_, past = context_;
    model_.trace.emplace_back(context_, rows_);
    const std::uint32_t table = o_.full_rope ? o_.head_dim : o_.head_dim / 2;
    const View &cos = views_.at("cos"), &sin = views_.at("sin"), &mask = views_.at("mask");
    for (std::uint32_t i = 0; i < fresh_.size(); ++i) {
      for (std::uint32_t r = 0; r < rows; ++r) {
        for (std::uint32_t h = 0; h < o_.kv_heads; ++h) {
          for (std::uint32_t d = 0; d < o_.head_dim; ++d) {
            // Both halves of a full table are used, so that a stale one shows.
            const std::uint32_t column = o_.full_rope ? d : d % table;
            const float turned = x_.get(r * o_.hidden + (h + d) % o_.hidden) *
                                 (cos.get(r * table + column) + 2 * sin.get(r * table + column));
            row_[d] = turned + 0.25f * static_cast<float>(i);
          }
          fresh_[i].set(at(rows, r, h), row_);
        }
      }
    }
    for (std::uint32_t r = 0; r < rows; ++r) {
      for (std::uint32_t column = 0; column < o_.hidden; ++column) {
        float sum = x_.get(r * o_.hidden + column);
        for (std::uint32_t k = 0; k < o_.deepstack; ++k) {
          const auto found = views_.find("deepstack_" + std::to_string(k));
          if (found != views_.end())
            sum += static_cast<float>(k + 1) * found->second.get(r * o_.hidden + column);
        }
        for (std::uint32_t j = 0; j < past + rows; ++j) {
          if (mask.get(std::size_t{r} * (past + rows) + j) < -30000.0f) continue;
          for (std::uint32_t i = 0; i < fresh_.size(); ++i) {
            const std::uint32_t h = column % o_.kv_heads, d = column % o_.head_dim;
            const float value = j < past ? past_[i].get(at(past, j, h), o_.head_dim, d)
                                         : fresh_[i].get(at(rows, j - past, h), o_.head_dim, d);
            sum += value * 0.125f;
          }
        }
        y_.set(r * o_.hidden + column, sum);
      }
    }
  }

  void head() {
    hidden_.resize(o_.hidden);
    logits_.resize(o_.vocab);
    for (std::uint32_t i = 0; i < o_.hidden; ++i) hidden_[i] = x_.get(i);
    if (model_.head) {
      model_.head(hidden_, logits_);
    } else {
      float sum = 0;
      for (const float value : hidden_) sum += std::abs(value) * 97.0f;
      for (std::uint32_t i = 0; i < o_.vocab; ++i)
        logits_[i] = std::sin(sum * static_cast<float>(i + 1));
    }
    for (std::uint32_t i = 0; i < o_.vocab; ++i) views_.at("logits").set(i, logits_[i]);
  }

  void vision() {
    const std::uint32_t per_token = o_.merge * o_.merge, tokens = o_.patches / per_token;
    for (std::uint32_t token = 0; token < tokens; ++token) {
      for (std::uint32_t column = 0; column < o_.hidden; ++column) {
        float sum = 0;
        for (std::uint32_t p = 0; p < per_token; ++p) {
          for (std::uint32_t i = column; i < o_.patch_width; i += o_.hidden)
            sum += views_.at("patches").get((token * per_token + p) * o_.patch_width + i);
        }
        const float value = sum / static_cast<float>(o_.patch_width);
        views_.at("image_embeds").set(token * o_.hidden + column, value);
        for (std::uint32_t k = 0; k < o_.deepstack; ++k) {
          views_.at("deepstack_" + std::to_string(k))
              .set(token * o_.hidden + column, value * static_cast<float>(k + 2));
        }
      }
    }
  }

  ToyModel& model_;
  const ToyOptions& o_;
  Role role_;
  std::uint32_t rows_ = 0, context_ = 0;
  std::map<std::string, View> views_;
  std::vector<CacheRows> past_, fresh_;  // k_0, v_0, k_1 …
  View x_, y_;
  std::vector<float> hidden_, logits_, row_;
};

Result<std::unique_ptr<runtime::BoundGraph>> ToyExecutor::bind(
    std::span<const NamedBuffer> buffers) {
  std::map<std::string, View> views;
  for (const NamedBuffer& buffer : buffers) {
    const qnn::TensorInfo* known = info().input(buffer.tensor);
    if (known == nullptr) known = info().output(buffer.tensor);
    if (known == nullptr) return not_found("no tensor " + std::string(buffer.tensor));
    if (known->size_bytes() != buffer.bytes.size())
      return invalid_argument("wrong size for " + known->name);
    views[known->name] = View(buffer.bytes, known->type);
  }
  if (views.size() != info().inputs.size() + info().outputs.size())
    return unsupported("not everything is bound");
  return std::unique_ptr<runtime::BoundGraph>(
      std::make_unique<Bound>(model_, role_, info_, std::move(views)));
}

ToyModel::ToyModel(const ToyOptions& options) : options_(options) {
  trace.reserve(1024);  // for the test that counts allocations
  const ToyOptions& o = options_;
  graphs[Role::kDecode] = describe_decoder("decode", 1, o.context, 0);
  if (o.prefill_rows > 0) {
    graphs[Role::kPrefill] =
        describe_decoder("prefill", o.prefill_rows, o.prefill_past ? o.context : 0, o.deepstack);
  }
  describe_further();
  graphs[Role::kHead] = {
      "head", {tensor("x", o.type, {1, o.hidden})}, {tensor("logits", o.type, {1, o.vocab})}};
  if (o.patches == 0) return;
  qnn::GraphInfo vision{"vision", {tensor("patches", o.type, {o.patches, o.patch_width})}, {}};
  const std::uint32_t tokens = o.patches / (o.merge * o.merge);
  vision.outputs.push_back(tensor("image_embeds", o.type, {tokens, o.hidden}));
  for (std::uint32_t k = 0; k < o.deepstack; ++k)
    vision.outputs.push_back(tensor("deepstack_" + std::to_string(k), o.type, {tokens, o.hidden}));
  graphs[Role::kVision] = vision;
}

qnn::GraphInfo ToyModel::describe_decoder(std::string name, std::uint32_t rows,
                                          std::uint32_t context, std::uint32_t deepstack) const {
  const ToyOptions& o = options_;
  const std::uint32_t table = o.full_rope ? o.head_dim : o.head_dim / 2;
  const auto cache = [&](std::uint32_t r, std::uint32_t width) -> std::vector<std::uint32_t> {
    if (o.head_major) return {o.kv_heads, r, width};
    return {r, o.kv_heads * width};
  };
  const auto add_cache = [&](qnn::GraphInfo& to, const std::string& tensor_name,
                             Qnn_DataType_t type, std::uint32_t width) {
    if (context > 0)
      to.inputs.push_back(tensor("past_" + tensor_name, type, cache(context, width)));
    to.outputs.push_back(tensor("new_" + tensor_name, type, cache(rows, width)));
  };
  qnn::GraphInfo graph{std::move(name), {}, {}};
  graph.inputs = {tensor("x", o.type, {rows, o.hidden}), tensor("cos", o.type, {rows, table}),
                  tensor("sin", o.type, {rows, table}),
                  tensor("mask", o.type, {rows, context + rows})};
  graph.outputs = {tensor("y", o.type, {rows, o.hidden})};
  for (std::uint32_t k = 0; k < deepstack; ++k)
    graph.inputs.push_back(tensor("deepstack_" + std::to_string(k), o.type, {rows, o.hidden}));
  for (std::uint32_t layer = 0; layer < o.layers; ++layer) {
    for (const std::string kind : {"k_", "v_"}) {
      const std::string i = std::to_string(layer);
      add_cache(graph, kind + i, o.int8_cache ? QNN_DATATYPE_INT_8 : QNN_DATATYPE_FLOAT_16,
                o.head_dim);
      if (o.int8_cache) add_cache(graph, kind + "scale_" + i, QNN_DATATYPE_FLOAT_32, 1);
    }
  }
  return graph;
}

void ToyModel::describe_further() {
  const ToyOptions& o = options_;
  const auto name = [](const char* kind, std::uint32_t rows, std::uint32_t context) {
    return kind + std::to_string(rows) + "_c" + std::to_string(context);
  };
  for (const std::uint32_t context : o.further_contexts)
    further[Role::kDecode].push_back(describe_decoder(name("decode_", 1, context), 1, context, 0));
  if (o.prefill_rows == 0) return;
  std::vector<std::uint32_t> contexts = o.further_contexts, calls = o.further_rows;
  contexts.push_back(o.context);
  calls.push_back(o.prefill_rows);
  for (const std::uint32_t context : contexts) {
    for (const std::uint32_t rows : calls) {
      if (context == o.context && rows == o.prefill_rows) continue;
      further[Role::kPrefill].push_back(
          describe_decoder(name("prefill_", rows, context), rows, context, o.deepstack));
    }
  }
}

std::vector<const qnn::GraphInfo*> ToyModel::infos(Role role) const {
  std::vector<const qnn::GraphInfo*> all;
  if (const auto found = graphs.find(role); found != graphs.end()) all.push_back(&found->second);
  if (const auto found = further.find(role); found != further.end()) {
    for (const qnn::GraphInfo& graph : found->second) all.push_back(&graph);
  }
  return all;
}

Result<std::shared_ptr<runtime::GraphExecutor>> ToyModel::open(Role role, std::size_t index) {
  const auto all = infos(role);
  if (index >= all.size()) return not_found("no such graph");
  ++opened[role];
  return std::shared_ptr<runtime::GraphExecutor>(
      std::make_shared<ToyExecutor>(*this, role, *all[index]));
}

}  // namespace qhx::fakes
