// Attention in one pass over the keys, made by finalize from MatMul, mask, Softmax, MatMul.
//
// qhx.Attention  inputs q, past_k, new_k, past_v, new_v, mask (past pair and mask optional), and,
//   where a pair is int8, past_k_scales, past_v_scales, new_k_scales, new_v_scales; output o.
//   Attributes: kv_heads G; heads R, query heads of each kv head; tokens T; head_dim D; scale
//   (float); q_by_token, k_by_token, v_by_token, out_by_token: 0: [head, token, D], 1: [token,
//   head, D]. past_*: f16, f32 or int8 [G, C, D], read in place; new_*: f32 or int8; *_scales: f32
//   [G, C or S], the factor of each row of int8; mask: f16 or f32 [T, C + S], added to scale * q k.
// qhx.ScaleMask  y = x <= -30000 ? x : scale * x: softmax(beta * (s + mask)) written as
//   softmax(beta * s + mask'), masked entries staying recognisable (and as they were: the kernel
//   wants them so where a row has no others).
#include "base/f16.h"
#include "ops/all.h"

namespace qhx::cpu {
namespace {

// Mask values from here down mean "masked out" (kernels/kernel_table.h).
constexpr float kMasked = -30000.0f;

const Tensor& tensor(const Graph& graph, int index) {
  return graph.tensors[static_cast<std::size_t>(index)];
}

struct Sizes {
  std::uint64_t kv_heads, heads, tokens, head_dim, past, fresh;
};

Status read_sizes(const OpView& op, Sizes& sizes) {
  const auto read = [&](std::string_view name, std::uint64_t& to) -> Status {
    const std::int64_t value = op.node.attributes.integer(name, 0);
    if (value < 1 || value > (std::int64_t{1} << 31)) {
      return op_error(op, "parameter '" + std::string(name) + "' is missing or out of range");
    }
    to = static_cast<std::uint64_t>(value);
    return {};
  };
  QHX_RETURN_IF_ERROR(read("kv_heads", sizes.kv_heads));
  QHX_RETURN_IF_ERROR(read("heads", sizes.heads));
  QHX_RETURN_IF_ERROR(read("tokens", sizes.tokens));
  QHX_RETURN_IF_ERROR(read("head_dim", sizes.head_dim));
  return {};
}

// Factors of `length` rows, at input `at` for keys and the next for values.
Status check_scales(const OpView& op, const Sizes& sizes, std::size_t at, std::uint64_t length) {
  for (const std::size_t i : {at, at + 1}) {
    const Tensor* scales = i < op.inputs.size() ? op.inputs[i] : nullptr;
    if (scales == nullptr || scales->dtype != DType::kF32 ||
        scales->elements() % sizes.kv_heads != 0 || scales->elements() / sizes.kv_heads != length) {
      return op_error(op, "input " + std::to_string(i) + ": expected f32 [" +
                              std::to_string(sizes.kv_heads) + ", " + std::to_string(length) + "]");
    }
  }
  return {};
}

// Keys at input `k`, values at `v`; if they are of bytes, with scales at `scales`.
Status check_segment(const OpView& op, const Sizes& sizes, std::size_t k, std::size_t v,
                     std::size_t scales, std::uint64_t& length) {
  const Tensor* keys = op.inputs[k];
  const Tensor* values = op.inputs[v];
  length = 0;
  if ((keys == nullptr) != (values == nullptr))
    return op_error(op, "keys and values come in pairs");
  if (keys == nullptr) return {};
  const std::uint64_t row = sizes.kv_heads * sizes.head_dim;
  if (keys->elements() % row != 0 || values->elements() != keys->elements() ||
      keys->dtype != values->dtype || (!keys->is_float() && keys->dtype != DType::kI8)) {
    return op_error(op, describe(op, true, k) + " and " + describe(op, true, v) +
                            ": expected float or int8, whole rows of " + std::to_string(row));
  }
  length = keys->elements() / row;
  return keys->is_float() ? Status() : check_scales(op, sizes, scales, length);
}

bool is_product(std::uint64_t elements, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                std::uint64_t d) {
  for (const std::uint64_t factor : {a, b, c, d}) {
    if (elements % factor != 0) return false;
    elements /= factor;
  }
  return elements == 1;
}

Status check_attention(const OpView& op) {
  if ((op.inputs.size() != 6 && op.inputs.size() != 10) || op.outputs.size() != 1)
    return op_error(op, "expected 6 or 10 inputs and 1 output");
  for (const std::size_t i : {0u, 2u, 4u}) {
    if (op.inputs[i] == nullptr) return op_error(op, "input " + std::to_string(i) + " is required");
  }
  QHX_RETURN_IF_ERROR(
      expect_params(op, {"kv_heads", "heads", "tokens", "head_dim", "scale", "q_by_token",
                         "k_by_token", "v_by_token", "out_by_token"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  Sizes sizes{};
  QHX_RETURN_IF_ERROR(read_sizes(op, sizes));
  for (const Tensor* t : {op.inputs[0], op.outputs[0]}) {
    if (!is_product(t->elements(), sizes.kv_heads, sizes.heads, sizes.tokens, sizes.head_dim)) {
      return op_error(op, "'" + t->name + "' " + to_string(t->dims) +
                              " does not have the stated heads and tokens");
    }
  }
  QHX_RETURN_IF_ERROR(check_segment(op, sizes, 1, 3, 6, sizes.past));
  QHX_RETURN_IF_ERROR(check_segment(op, sizes, 2, 4, 8, sizes.fresh));
  if (const Tensor* mask = op.inputs[5]) {
    const std::uint64_t columns = mask->elements() / sizes.tokens;
    if (!mask->is_float() || mask->elements() % sizes.tokens != 0 ||
        columns != sizes.past + sizes.fresh) {
      return op_error(op, describe(op, true, 5) + ": expected float [" +
                              std::to_string(sizes.tokens) + ", " +
                              std::to_string(sizes.past + sizes.fresh) + "]");
    }
  }
  return {};
}

struct Strides {
  std::size_t row, head;
};
Strides strides(bool by_token, std::uint64_t heads, std::uint64_t rows, std::uint64_t width) {
  return by_token ? Strides{heads * width, width} : Strides{width, rows * width};
}

struct AttentionPlan {
  Sizes sizes;
  Strides q, out, k, v;
  float scale;
  std::vector<int> inputs;
  int out_tensor;
  KvType past_type, fresh_type;
  bool mask_f16;
  std::size_t blocks;  // of tokens
};

template <typename T>
const void* advance(const void* p, std::size_t elements) {
  return static_cast<const T*>(p) + elements;
}
const void* advance(const void* p, std::size_t elements, bool f16) {
  return f16 ? advance<std::uint16_t>(p, elements) : advance<float>(p, elements);
}
const void* advance(const void* p, std::size_t elements, KvType type) {
  return type == KvType::kI8 ? advance<std::int8_t>(p, elements)
                             : advance(p, elements, type == KvType::kF16);
}
KvType kv_type(DType type) {
  return type == DType::kI8 ? KvType::kI8 : type == DType::kF16 ? KvType::kF16 : KvType::kF32;
}

Rounding rounding_of(const Run& run, std::uint64_t tokens) {
  if (tokens <= kExactRows) return Rounding::kNone;
  switch (run.activations) {
    case Activations::kInt8:
      return Rounding::kAll;
    case Activations::kMixed:
    case Activations::kWide:
      return Rounding::kValues;
    default:
      return Rounding::kNone;
  }
}

void run_block(const Run& run, const AttentionPlan& plan, std::size_t kv_head, std::size_t block,
               std::byte* scratch) {
  const Sizes& s = plan.sizes;
  const std::size_t first = s.tokens * block / plan.blocks;
  const std::size_t last = s.tokens * (block + 1) / plan.blocks;
  AttentionArgs args{
      .q = run.in<float>(plan.inputs[0]) + kv_head * s.heads * plan.q.head + first * plan.q.row,
      .q_stride = plan.q.row,
      .q_head_stride = plan.q.head,
      .out = run.out<float>(plan.out_tensor) + kv_head * s.heads * plan.out.head +
             first * plan.out.row,
      .out_stride = plan.out.row,
      .out_head_stride = plan.out.head,
      .heads = s.heads,
      .tokens = last - first,
      .head_dim = s.head_dim,
      .scale = plan.scale,
      .rounding = rounding_of(run, s.tokens)};
  const auto rows = [&](std::size_t input, KvType type, std::size_t head_stride) {
    return advance(run.in<std::byte>(plan.inputs[input]), kv_head * head_stride, type);
  };
  if (plan.inputs[1] >= 0) {
    args.kv[0] = {.type = plan.past_type,
                  .k = rows(1, plan.past_type, s.past * s.head_dim),
                  .k_stride = s.head_dim,
                  .v = rows(3, plan.past_type, s.past * s.head_dim),
                  .v_stride = s.head_dim,
                  .length = s.past};
  }
  args.kv[1] = {.type = plan.fresh_type,
                .k = rows(2, plan.fresh_type, plan.k.head),
                .k_stride = plan.k.row,
                .v = rows(4, plan.fresh_type, plan.v.head),
                .v_stride = plan.v.row,
                .length = s.fresh};
  for (std::size_t i = 0; i < 2; ++i) {
    KvSegment& segment = args.kv[i];
    if (segment.type != KvType::kI8) continue;
    const std::size_t first_row = kv_head * segment.length;
    segment.k_scales = run.in<float>(plan.inputs[6 + 2 * i]) + first_row;
    segment.v_scales = run.in<float>(plan.inputs[7 + 2 * i]) + first_row;
  }
  if (plan.inputs[5] >= 0) {
    args.mask_stride = s.past + s.fresh;
    args.mask_type = plan.mask_f16 ? FloatType::kF16 : FloatType::kF32;
    args.mask = advance(run.in<std::byte>(plan.inputs[5]), first * args.mask_stride, plan.mask_f16);
  }
  run.kernels.attention(args, scratch);
}

// Blocks of tokens of one kv head: enough for the threads, long enough to share each key and value
// that is read.
std::size_t token_blocks(const Sizes& sizes, std::size_t threads) {
  constexpr std::uint64_t kLeastRows = 32;
  const std::uint64_t most = std::max<std::uint64_t>(1, sizes.tokens * sizes.heads / kLeastRows);
  const std::uint64_t wanted = (4 * threads + sizes.kv_heads - 1) / sizes.kv_heads;
  return std::min({most, wanted, sizes.tokens});
}

RunFunction prepare_attention(const Graph& graph, const Node& node, int threads) {
  const Attributes& a = node.attributes;
  AttentionPlan plan{};
  plan.inputs = node.inputs;
  plan.out_tensor = node.outputs[0];
  Sizes& s = plan.sizes;
  s.kv_heads = static_cast<std::uint64_t>(a.integer("kv_heads", 1));
  s.heads = static_cast<std::uint64_t>(a.integer("heads", 1));
  s.tokens = static_cast<std::uint64_t>(a.integer("tokens", 1));
  s.head_dim = static_cast<std::uint64_t>(a.integer("head_dim", 1));
  const std::uint64_t row = s.kv_heads * s.head_dim;
  if (node.inputs[1] >= 0) {
    s.past = tensor(graph, node.inputs[1]).elements() / row;
    plan.past_type = kv_type(tensor(graph, node.inputs[1]).dtype);
  }
  s.fresh = tensor(graph, node.inputs[2]).elements() / row;
  plan.fresh_type = kv_type(tensor(graph, node.inputs[2]).dtype);
  if (node.inputs[5] >= 0) plan.mask_f16 = tensor(graph, node.inputs[5]).dtype == DType::kF16;
  plan.scale = static_cast<float>(a.number("scale", 1.0));
  const std::uint64_t all_heads = s.kv_heads * s.heads;
  plan.q = strides(a.integer("q_by_token", 0) != 0, all_heads, s.tokens, s.head_dim);
  plan.out = strides(a.integer("out_by_token", 0) != 0, all_heads, s.tokens, s.head_dim);
  plan.k = strides(a.integer("k_by_token", 0) != 0, s.kv_heads, s.fresh, s.head_dim);
  plan.v = strides(a.integer("v_by_token", 0) != 0, s.kv_heads, s.fresh, s.head_dim);
  plan.blocks = token_blocks(s, static_cast<std::size_t>(threads));
  return [plan = std::move(plan)](const Run& run) {
    parallel(run, plan.sizes.kv_heads * plan.blocks, [&](std::size_t i, std::byte* scratch) {
      run_block(run, plan, i / plan.blocks, i % plan.blocks, scratch);
    });
  };
}

std::size_t attention_scratch(const Graph&, const Node& node, const KernelTable& kernels) {
  return kernels.attention_scratch_bytes(
      static_cast<std::size_t>(node.attributes.integer("head_dim", 1)));
}

Status check_scale_mask(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"scale"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {}));
  if (!op.inputs[0]->is_float())
    return op_error(op, describe(op, true, 0) + ": expected a float type");
  if (op.inputs[0]->elements() != op.outputs[0]->elements())
    return op_error(op, "expected as many outputs as inputs");
  return {};
}

RunFunction prepare_scale_mask(const Graph& graph, const Node& node, int) {
  const Tensor& x = tensor(graph, node.inputs[0]);
  const auto scale = static_cast<float>(node.attributes.number("scale", 1.0));
  return [=, from = node.inputs[0], to = node.outputs[0], f16 = x.dtype == DType::kF16,
          count = x.elements()](const Run& run) {
    float* y = run.out<float>(to);
    const auto scaled = [&](float v) { return v <= kMasked ? v : v * scale; };
    parallel_ranges(run, count, 32 * 1024, [&](std::size_t begin, std::size_t end, std::byte*) {
      if (f16) {
        run.kernels.f16_to_f32(run.in<std::uint16_t>(from) + begin, y + begin, end - begin);
        for (std::size_t i = begin; i < end; ++i) y[i] = scaled(y[i]);
      } else {
        const float* source = run.in<float>(from);
        for (std::size_t i = begin; i < end; ++i) y[i] = scaled(source[i]);
      }
    });
  };
}

}  // namespace

std::vector<OpDefinition> attention_ops() {
  return {{.type = internal_op::kAttention,
           .check = check_attention,
           .prepare = prepare_attention,
           .scratch_bytes = attention_scratch,
           .f16_inputs = 1u << 1 | 1u << 3 | 1u << 5},
          {.type = internal_op::kScaleMask,
           .check = check_scale_mask,
           .prepare = prepare_scale_mask,
           .f16_inputs = 1u << 0}};
}

}  // namespace qhx::cpu
