#include "runtime/text_spec.h"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include "base/check.h"

namespace qhx::runtime {
namespace {

using Shape = std::vector<std::uint32_t>;
using qnn::GraphInfo;
using qnn::TensorInfo;

std::uint32_t u32(std::size_t value) { return static_cast<std::uint32_t>(value); }

std::string layer_name(const char* prefix, std::size_t layer) {
  return prefix + std::to_string(layer);
}

std::string input_of(const GraphInfo& graph, std::string_view tensor) {
  return "graph " + graph.name + ": input " + std::string(tensor);
}

Result<const TensorInfo*> need_input(const GraphInfo& graph, std::string_view tensor) {
  if (const TensorInfo* info = graph.input(tensor)) return info;
  return unsupported(input_of(graph, tensor) +
                     ": missing; this is no decoder graph of a known form");
}

// `found` in the graphs against the manifest's value (0: not recorded).
Status agree(std::string_view key, std::size_t in_manifest, std::size_t found,
             const std::string& where) {
  if (in_manifest == 0 || in_manifest == found) return {};
  return corrupt("params." + std::string(key) + ": the manifest says " +
                 std::to_string(in_manifest) + ", " + where + " says " + std::to_string(found));
}

std::size_t count_layers(const GraphInfo& decode) {
  std::size_t layers = 0;
  while (decode.input(layer_name("past_k_", layers)) != nullptr) ++layers;
  return layers;
}

std::size_t count_deepstack(const GraphInfo& graph) {
  std::size_t count = 0;
  while (graph.input(deepstack_name(count)) != nullptr) ++count;
  return count;
}

// Head size and count from the cache's width, the rotary tables' width and the manifest.
Status find_heads(const manifest::Params& params, std::size_t kv_dim, std::size_t rope_width,
                  const TensorInfo& past, TextSpec& spec) {
  std::size_t dim = params.head_dim;
  if (dim == 0 && params.n_kv_heads != 0) dim = kv_dim / params.n_kv_heads;
  Shape dims = past.dims;
  std::erase(dims, 1u);
  if (dim == 0 && dims.size() == 3) dim = dims[2];  // [G, C, D]
  if (dim == 0) dim = 2 * rope_width;               // the published form
  if (dim == 0 || kv_dim % dim != 0 || (rope_width != dim && 2 * rope_width != dim)) {
    return corrupt("params.head_dim: " + std::to_string(dim) + " does not fit rotary tables of " +
                   std::to_string(rope_width) + " columns and a cache of " +
                   std::to_string(kv_dim) + " values a token");
  }
  spec.head_dim = dim;
  spec.kv.kv_heads = kv_dim / dim;
  QHX_RETURN_IF_ERROR(agree("kv_dim", params.kv_dim, kv_dim, "the cache"));
  return agree("n_kv_heads", params.n_kv_heads, spec.kv.kv_heads, "the cache");
}

Shape cache_shape(const TextSpec& spec, std::size_t rows, KvKind kind = KvKind::kKey) {
  const std::uint32_t heads = u32(spec.kv.kv_heads);
  const std::uint32_t dim = KvShape::is_scale(kind) ? 1 : u32(spec.head_dim);
  if (spec.kv.layout == KvLayout::kHeadMajor) return {heads, u32(rows), dim};
  return {u32(rows), heads * dim};
}

void find_layout(const manifest::Kv& kv, const TensorInfo& past, TextSpec& spec) {
  spec.kv.layout = KvLayout::kHeadMajor;
  const bool fits_head_major = same_shape(past.dims, cache_shape(spec, spec.context));
  if (kv.layout == "token_major" || (kv.layout.empty() && !fits_head_major))
    spec.kv.layout = KvLayout::kTokenMajor;
}

Status check_kv_type(const manifest::Kv& kv, const TensorInfo& past) {
  static constexpr std::pair<std::string_view, Qnn_DataType_t> kTypes[] = {
      {"f16", QNN_DATATYPE_FLOAT_16},       {"f32", QNN_DATATYPE_FLOAT_32},
      {"i8", QNN_DATATYPE_INT_8},           {"i8", QNN_DATATYPE_SFIXED_POINT_8},
      {"u8", QNN_DATATYPE_UFIXED_POINT_8},  {"i16", QNN_DATATYPE_SFIXED_POINT_16},
      {"u16", QNN_DATATYPE_UFIXED_POINT_16}};
  const auto agrees = [&](const auto& known) {
    return kv.dtype == known.first && past.type == known.second;
  };
  if (!kv.dtype.empty() && std::none_of(std::begin(kTypes), std::end(kTypes), agrees)) {
    return corrupt("kv.dtype: the manifest says " + kv.dtype + ", input " + past.name + " is " +
                   std::string(qnn::name(past.type)));
  }
  if (past.size_bytes() > std::numeric_limits<std::uint32_t>::max())
    return unsupported("input " + past.name + ": larger than 4 GiB");
  return {};
}

// Rows that the graphs write are copied into what they read, so both must mean the same.
Status same_encoding(const TensorInfo& written, const TensorInfo& read, const std::string& where) {
  const bool same =
      written.type == read.type && written.quantized == read.quantized &&
      (!written.quantized || (written.scale == read.scale && written.offset == read.offset));
  if (same) return {};
  return corrupt(where + written.name + " (" + std::string(qnn::name(written.type)) + ") and " +
                 read.name + " (" + std::string(qnn::name(read.type)) +
                 ") of the cache have different encodings");
}

// The i-th tensor of the cache. `decode`: the decode graph of the largest context, whose cache is
// the measure.
Status check_cache(const GraphInfo& graph, const GraphInfo& decode, const TextSpec& spec,
                   std::size_t i, const DecoderShape& shape) {
  const std::string where = "graph " + graph.name + ": ";
  const KvKind kind = spec.kv.kind_of(i);
  const std::string past_name = "past_" + kv_name(spec.kv, i);
  const std::string new_name = "new_" + kv_name(spec.kv, i);
  const TensorInfo* cache = decode.input(past_name);
  QHX_RETURN_IF_ERROR(expect_shape(cache, cache_shape(spec, spec.context, kind),
                                   input_of(decode, past_name), "kv.layout and params"));
  if (qnn::size_bytes(cache->type) * (KvShape::is_scale(kind) ? 1 : spec.head_dim) !=
      spec.kv.row_bytes(kind)) {
    return corrupt(input_of(decode, past_name) + ": is " + std::string(qnn::name(cache->type)) +
                   ", that of the first layer has another size");
  }
  if (shape.context > 0) {
    QHX_RETURN_IF_ERROR(expect_shape(graph.input(past_name), cache_shape(spec, shape.context, kind),
                                     input_of(graph, past_name), "kv.layout and params"));
    QHX_RETURN_IF_ERROR(same_encoding(*graph.input(past_name), *cache, where));
  }
  const TensorInfo* rows_out = graph.output(new_name);
  QHX_RETURN_IF_ERROR(expect_shape(rows_out, cache_shape(spec, shape.rows, kind),
                                   where + "output " + new_name, "kv.layout and params"));
  return same_encoding(*rows_out, *cache, where);
}

// Whether rows have scales, and how large they are. INT_8 rows mean nothing without them.
Status find_scales(const GraphInfo& decode, const TensorInfo& past, TextSpec& spec) {
  const TensorInfo* scale = decode.input("past_k_scale_0");
  if (scale != nullptr) spec.kv.scale_bytes = qnn::size_bytes(scale->type);
  if (past.type != QNN_DATATYPE_INT_8 || scale != nullptr) return {};
  return unsupported(input_of(decode, "past_k_scale_0") + ": missing; " + past.name +
                     " is INT_8, whose rows have a scale each");
}

// Everything about one decoder graph, with the sizes known.
Status check_graph(const GraphInfo& graph, const GraphInfo& decode, const TextSpec& spec,
                   const DecoderShape& shape, std::size_t deepstack) {
  const std::size_t rows = shape.rows;
  const Shape x = {u32(rows), u32(spec.hidden)};
  QHX_RETURN_IF_ERROR(expect_shape(graph.input("x"), x, input_of(graph, "x"), "params.hidden"));
  QHX_RETURN_IF_ERROR(
      expect_shape(graph.output("y"), x, "graph " + graph.name + ": output y", "params.hidden"));
  QHX_ASSIGN_OR_RETURN(const TensorInfo* cos, need_input(graph, "cos"));
  const bool twice = cos->element_count() == rows * spec.head_dim;
  const Shape table = {u32(rows), u32(twice ? spec.head_dim : spec.head_dim / 2)};
  for (const char* name : {"cos", "sin"}) {
    QHX_RETURN_IF_ERROR(
        expect_shape(graph.input(name), table, input_of(graph, name), "params.head_dim"));
  }
  const Shape mask = {u32(rows), u32(shape.context + rows)};
  QHX_RETURN_IF_ERROR(
      expect_shape(graph.input("mask"), mask, input_of(graph, "mask"), "params.max_ctx"));
  for (std::size_t k = 0; k < deepstack; ++k) {
    const std::string name = deepstack_name(k);
    QHX_RETURN_IF_ERROR(expect_shape(graph.input(name), x, input_of(graph, name), "params.hidden"));
  }
  const std::size_t cache_tensors = spec.kv.tensors();
  for (std::size_t i = 0; i < cache_tensors; ++i)
    QHX_RETURN_IF_ERROR(check_cache(graph, decode, spec, i, shape));
  const std::size_t known_inputs = 4 + deepstack + (shape.context > 0 ? cache_tensors : 0);
  if (graph.inputs.size() != known_inputs || graph.outputs.size() != 1 + cache_tensors) {
    return unsupported("graph " + graph.name + ": has " + std::to_string(graph.inputs.size()) +
                       " inputs and " + std::to_string(graph.outputs.size()) + " outputs, " +
                       std::to_string(known_inputs) + " and " + std::to_string(1 + cache_tensors) +
                       " are known");
  }
  return {};
}

// Rows and cache rows from the graph itself.
Result<DecoderShape> read_shape(const GraphInfo& graph, Role role, std::size_t index,
                                const TextSpec& spec) {
  DecoderShape shape{role, index, 1, 0};
  QHX_ASSIGN_OR_RETURN(const TensorInfo* x, need_input(graph, "x"));
  QHX_RETURN_IF_ERROR(need_input(graph, "mask").status());
  if (role == Role::kDecode) QHX_RETURN_IF_ERROR(need_input(graph, "past_k_0").status());
  if (role == Role::kPrefill) shape.rows = x->element_count() / spec.hidden;
  if (const TensorInfo* past = graph.input("past_k_0"))
    shape.context = past->element_count() / (spec.kv.kv_heads * spec.head_dim);
  for (const std::size_t rows : {shape.rows, shape.context}) {
    if (rows > spec.context) {
      return corrupt("graph " + graph.name + ": " +
                     (rows == shape.rows ? "takes " : "has a cache for ") + std::to_string(rows) +
                     " tokens, the largest decode graph's cache holds " +
                     std::to_string(spec.context));
    }
  }
  return shape;
}

Status read_prefills(const std::vector<const GraphInfo*>& prefills, const GraphInfo& decode,
                     TextSpec& spec) {
  for (std::size_t i = 0; i < prefills.size(); ++i) {
    const GraphInfo& graph = *prefills[i];
    const std::size_t deepstack = count_deepstack(graph);
    if (i == 0) spec.deepstack = deepstack;
    if (deepstack != spec.deepstack) {
      return corrupt("graph " + graph.name + ": has " + std::to_string(deepstack) +
                     " deepstack inputs, graph " + prefills[0]->name + " has " +
                     std::to_string(spec.deepstack));
    }
    QHX_ASSIGN_OR_RETURN(const DecoderShape shape, read_shape(graph, Role::kPrefill, i, spec));
    QHX_RETURN_IF_ERROR(check_graph(graph, decode, spec, shape, deepstack));
    spec.graphs.push_back(shape);
  }
  return {};
}

Status read_decodes(const std::vector<const GraphInfo*>& decodes, const GraphInfo& largest,
                    TextSpec& spec) {
  for (std::size_t i = 0; i < decodes.size(); ++i) {
    QHX_ASSIGN_OR_RETURN(const DecoderShape shape, read_shape(*decodes[i], Role::kDecode, i, spec));
    QHX_RETURN_IF_ERROR(check_graph(*decodes[i], largest, spec, shape, 0));
    spec.graphs.push_back(shape);
  }
  return {};
}

// The decode graph with the widest mask, which is that of the largest context.
const GraphInfo& largest_of(const std::vector<const GraphInfo*>& decodes) {
  const auto columns = [](const GraphInfo* graph) {
    const TensorInfo* mask = graph->input("mask");
    return mask == nullptr ? 0 : mask->element_count();
  };
  return **std::max_element(decodes.begin(), decodes.end(),
                            [&](const auto* a, const auto* b) { return columns(a) < columns(b); });
}

Status read_decode(const manifest::Params& params, const GraphInfo& decode, TextSpec& spec) {
  const std::string where = "graph " + decode.name;
  QHX_ASSIGN_OR_RETURN(const TensorInfo* x, need_input(decode, "x"));
  QHX_ASSIGN_OR_RETURN(const TensorInfo* mask, need_input(decode, "mask"));
  QHX_RETURN_IF_ERROR(need_input(decode, "cos").status());
  QHX_RETURN_IF_ERROR(need_input(decode, "past_k_0").status());
  spec.hidden = x->element_count();
  spec.context = mask->element_count() - 1;
  spec.layers = count_layers(decode);
  QHX_RETURN_IF_ERROR(agree("hidden", params.hidden, spec.hidden, where + ", input x,"));
  QHX_RETURN_IF_ERROR(agree("max_ctx", params.max_ctx, spec.context, where + ", input mask,"));
  return agree("n_layers", params.n_layers, spec.layers, where);
}

Status read_head(const manifest::Params& params, const GraphInfo& head, TextSpec& spec) {
  const TensorInfo* x = find_or_only(head.inputs, "x");
  const TensorInfo* logits = find_or_only(head.outputs, "logits");
  QHX_RETURN_IF_ERROR(
      expect_shape(x, {u32(spec.hidden)}, "graph " + head.name + ": input x", "params.hidden"));
  if (logits == nullptr || head.inputs.size() != 1 || head.outputs.size() != 1)
    return unsupported("graph " + head.name + ": a head has one input and one output");
  spec.vocab = logits->element_count();
  return agree("vocab", params.vocab, spec.vocab, "graph " + head.name + ", output logits,");
}

Status read_mrope_section(const manifest::Params& params, TextSpec& spec) {
  std::uint64_t pairs = 0;
  for (const std::uint32_t section : params.mrope_section) pairs += section;
  if (!params.mrope_section.empty() && pairs != spec.head_dim / 2) {
    return corrupt("params.mrope_section: sums to " + std::to_string(pairs) + ", head_dim / 2 is " +
                   std::to_string(spec.head_dim / 2));
  }
  for (std::size_t i = 0; i < params.mrope_section.size(); ++i)
    spec.mrope_section[i] = static_cast<int>(params.mrope_section[i]);
  return {};
}

// Whether text graphs of many rows may compute more roughly than those of few.
bool has_rough_graphs(const manifest::Artifacts& artifacts) {
  return std::any_of(artifacts.contexts.begin(), artifacts.contexts.end(), [&](const auto& entry) {
    const auto& [role, file] = entry;
    const auto record = artifacts.files.find(file);
    return role != "vision" && record != artifacts.files.end() &&
           !record->second.activations.empty() && record->second.activations != "int16";
  });
}

}  // namespace

const TensorInfo* find_or_only(const std::vector<TensorInfo>& tensors, std::string_view name) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return tensors.size() == 1 ? &tensors[0] : nullptr;
}

bool same_shape(const Shape& a, const Shape& b) {
  Shape first = a, second = b;
  std::erase(first, 1u);
  std::erase(second, 1u);
  return first == second;
}

Status expect_shape(const TensorInfo* tensor, const Shape& expected, std::string_view where,
                    std::string_view why) {
  if (tensor == nullptr) return corrupt(std::string(where) + ": missing");
  if (same_shape(tensor->dims, expected)) return {};
  return corrupt(std::string(where) + ": expected " + qnn::to_string(expected) + " from " +
                 std::string(why) + ", the binary has " + qnn::to_string(tensor->dims));
}

std::string deepstack_name(std::size_t k) { return "deepstack_" + std::to_string(k); }

std::string kv_name(const KvShape& kv, std::size_t i) {
  static constexpr const char* kKinds[] = {"k_", "v_", "k_scale_", "v_scale_"};
  return kKinds[i % kv.kinds()] + std::to_string(kv.layer_of(i));
}

std::size_t TextSpec::prefill_rows() const {
  std::size_t most = 0;
  for (const DecoderShape& graph : graphs) {
    if (graph.role == Role::kPrefill) most = std::max(most, graph.rows);
  }
  return most;
}

std::size_t TextSpec::decode_graph(std::size_t cached) const {
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    if (graphs[i].role == Role::kDecode && graphs[i].context >= cached) return i;
  }
  QHX_CHECK(false);
}

std::size_t TextSpec::context_for(std::size_t count) const {
  for (const DecoderShape& graph : graphs) {
    if (graph.context >= count && graph.context > 0) return graph.context;
  }
  QHX_CHECK(false);
}

Result<TextSpec> make_text_spec(const manifest::Manifest& manifest, const GraphProvider& graphs) {
  const manifest::Params& params = manifest.params;
  const auto decodes = graphs.infos(Role::kDecode);
  const GraphInfo* head = graphs.info(Role::kHead);
  QHX_CHECK(!decodes.empty() && head != nullptr);
  const GraphInfo& decode = largest_of(decodes);
  TextSpec spec;
  if (has_rough_graphs(manifest.artifacts)) spec.exact_rows = manifest::kExactRows;
  QHX_RETURN_IF_ERROR(read_decode(params, decode, spec));
  const TensorInfo& past = *decode.input("past_k_0");
  const std::size_t values = past.element_count();
  if (spec.context == 0 || values % spec.context != 0) {
    return corrupt(input_of(decode, "past_k_0") + ": " + qnn::to_string(past.dims) +
                   " does not hold " + std::to_string(spec.context) +
                   " rows, which is what the mask has besides the token's own");
  }
  QHX_RETURN_IF_ERROR(
      find_heads(params, values / spec.context, decode.input("cos")->element_count(), past, spec));
  find_layout(manifest.kv, past, spec);
  QHX_RETURN_IF_ERROR(check_kv_type(manifest.kv, past));
  QHX_RETURN_IF_ERROR(find_scales(decode, past, spec));
  spec.kv.layers = spec.layers;
  spec.kv.rows = spec.context;
  spec.kv.head_bytes = spec.head_dim * qnn::size_bytes(past.type);
  QHX_RETURN_IF_ERROR(read_decodes(decodes, decode, spec));
  QHX_RETURN_IF_ERROR(read_prefills(graphs.infos(Role::kPrefill), decode, spec));
  std::stable_sort(spec.graphs.begin(), spec.graphs.end(), [](const auto& a, const auto& b) {
    return std::tie(a.context, a.role, a.rows) < std::tie(b.context, b.role, b.rows);
  });
  QHX_RETURN_IF_ERROR(read_head(params, *head, spec));
  if (params.rope_theta == 0)
    return unsupported("params.rope_theta: missing, and no graph tells it");
  spec.rope_theta = params.rope_theta;
  QHX_RETURN_IF_ERROR(read_mrope_section(params, spec));
  spec.decode_tail = manifest.plan.decode_tail;
  if (manifest.plan.call_cost != 0) spec.call_cost = manifest.plan.call_cost;
  return spec;
}

}  // namespace qhx::runtime
