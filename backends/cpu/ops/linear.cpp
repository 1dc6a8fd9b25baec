// Linear layers. Clients write them as Conv2d 1x1, FullyConnected or MatMul with a static weight;
// finalize turns all into qhx.Linear over packed weights: several layers of one input, each with
// bias, activation and residual.
//
// qhx.Linear  inputs x, then for each layer: packed weight, bias (padded to whole panels;
// optional), residual
//             (optional); outputs: one for each layer. Attribute activations: list of Activation
//             values. y = activation(x W + bias) + residual, over all elements of x by its last
//             dimension. Attribute precise, for each layer or for all: 1: the result reaches a
//             softmax.
#include <algorithm>

#include "kernels/quantized_rows.h"
#include "ops/all.h"
#include "ops/weights.h"

namespace qhx::cpu {
namespace {

Status check_bias(const OpView& op, std::size_t input, std::uint32_t n) {
  if (op.inputs.size() <= input || op.inputs[input] == nullptr) return {};
  const Tensor& bias = *op.inputs[input];
  if (!bias.is_static()) return op_error(op, describe(op, true, input) + ": a bias must be STATIC");
  if (!bias.is_float())
    return op_error(op, describe(op, true, input) + ": a bias must be FLOAT_16 or FLOAT_32");
  return expect_input_dims(op, input, {n});
}

Status check_static_weight(const OpView& op) {
  if (op.inputs[1]->is_static()) return {};
  return op_error(op, describe(op, true, 1) + ": the weight must be STATIC");
}

Status expect_list(const OpView& op, std::string_view parameter,
                   const std::vector<std::int64_t>& expected) {
  const auto* found = op.node.attributes.list(parameter);
  if (found == nullptr || *found == expected) return {};
  return op_error(op, "parameter '" + std::string(parameter) +
                          "': only 1x1 convolutions without padding are supported");
}

Status check_conv2d(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 3, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"stride", "pad_amount", "dilation", "group"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  const Dims& x = op.inputs[0]->dims;
  const Dims& w = op.inputs[1]->dims;
  if (x.size() != 4) return op_error(op, describe(op, true, 0) + ": expected rank 4");
  if (w.size() != 4 || w[0] != 1 || w[1] != 1) {
    return op_error(op, describe(op, true, 1) + ": expected a 1x1 kernel [1, 1, K, N]");
  }
  if (w[2] != x[3]) {
    return op_error(
        op, describe(op, true, 1) + ": expected " + std::to_string(x[3]) + " input channels");
  }
  QHX_RETURN_IF_ERROR(expect_list(op, "stride", {1, 1}));
  QHX_RETURN_IF_ERROR(expect_list(op, "pad_amount", {0, 0, 0, 0}));
  QHX_RETURN_IF_ERROR(expect_list(op, "dilation", {1, 1}));
  QHX_RETURN_IF_ERROR(expect_list(op, "group", {1}));
  QHX_RETURN_IF_ERROR(check_static_weight(op));
  QHX_RETURN_IF_ERROR(
      check_weight(op, {.input = 1, .k_axis = 2, .n_axis = 3, .groups_allowed = true}));
  QHX_RETURN_IF_ERROR(check_bias(op, 2, w[3]));
  return expect_output_dims(op, 0, {x[0], x[1], x[2], w[3]});
}

Status check_fully_connected(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 2, 3, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {"keep_dims"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  const Dims& x = op.inputs[0]->dims;
  const Dims& w = op.inputs[1]->dims;
  if (op.node.attributes.integer("keep_dims", 0) != 0) {
    return op_error(op, "keep_dims is not supported: the output has rank 2");
  }
  if (w.size() != 2) return op_error(op, describe(op, true, 1) + ": expected [N, K]");
  if (w[1] != x.back()) {
    return op_error(
        op, describe(op, true, 1) + ": expected " + std::to_string(x.back()) + " input channels");
  }
  QHX_RETURN_IF_ERROR(check_static_weight(op));
  QHX_RETURN_IF_ERROR(
      check_weight(op, {.input = 1, .k_axis = 1, .n_axis = 0, .groups_allowed = true}));
  QHX_RETURN_IF_ERROR(check_bias(op, 2, w[0]));
  return expect_output_dims(op, 0, {static_cast<std::uint32_t>(product(x, 0, x.size() - 1)), w[0]});
}

// ---- qhx.Linear ----

constexpr std::size_t kInputsPerLayer = 3;

Status check_layer(const OpView& op, std::size_t layer, std::uint64_t rows) {
  const std::size_t at = 1 + layer * kInputsPerLayer;
  const Tensor* weight = op.inputs[at];
  if (weight == nullptr || !weight->packed) {
    return op_error(op, "input " + std::to_string(at) + ": expected a packed weight");
  }
  const PackedFormat& format = *weight->packed;
  const Tensor& y = *op.outputs[layer];
  if (format.k != op.inputs[0]->dims.back()) {
    return op_error(op, describe(op, true, at) + ": expected " +
                            std::to_string(op.inputs[0]->dims.back()) + " input channels, found " +
                            std::to_string(format.k));
  }
  if (y.dims.back() != format.n || y.elements() / format.n != rows) {
    return op_error(op, describe(op, false, layer) + ": expected " + std::to_string(rows) +
                            " rows of " + std::to_string(format.n));
  }
  if (const Tensor* bias = op.inputs[at + 1]) {
    const auto padded = static_cast<std::uint32_t>(padded_channels(format.n));
    if (!bias->is_static() || bias->dtype != DType::kF32) {
      return op_error(op, describe(op, true, at + 1) + ": expected a static f32 bias");
    }
    QHX_RETURN_IF_ERROR(expect_input_dims(op, at + 1, {padded}));
  }
  if (const Tensor* residual = op.inputs[at + 2]) {
    if (residual->elements() != y.elements() || residual->dtype != DType::kF32) {
      return op_error(
          op, describe(op, true, at + 2) + ": expected f32 and as many elements as the output");
    }
  }
  return {};
}

Status check_packed_linear(const OpView& op) {
  const std::size_t layers = op.outputs.size();
  if (layers == 0 || layers > 16) return op_error(op, "expected 1 to 16 outputs");
  if (op.inputs.size() != 1 + layers * kInputsPerLayer || op.inputs[0] == nullptr) {
    return op_error(op,
                    "expected an input and 3 for each of " + std::to_string(layers) + " outputs");
  }
  QHX_RETURN_IF_ERROR(expect_params(op, {"activations", "precise"}));
  QHX_RETURN_IF_ERROR(expect_one_float_type(op, {0}));
  const auto* activations = op.node.attributes.list("activations");
  if (activations == nullptr || activations->size() != layers) {
    return op_error(op, "parameter 'activations': expected one for each output");
  }
  for (const std::int64_t a : *activations) {
    if (a < 0 || a > static_cast<std::int64_t>(Activation::kGeluErf))
      return op_error(op, "unknown activation");
  }
  const Tensor& x = *op.inputs[0];
  for (std::size_t i = 0; i < layers; ++i) {
    QHX_RETURN_IF_ERROR(check_layer(op, i, x.elements() / x.dims.back()));
  }
  return {};
}

struct Layer {
  PackedWeights weights;
  int weight, bias, residual, y;
  Activation activation;
  bool precise;
};
struct Item {
  std::size_t layer;
  Slice slice;
};
struct LinearPlan {
  int x;
  std::size_t rows, k;
  std::vector<Layer> layers;
  std::vector<Item> items;
};

// Rows up to which a product is bound by reading the weights.
constexpr std::size_t kStreamingRows = 4;
constexpr std::size_t kBlockPanels = 16;
constexpr std::size_t kLeastBlockRows = 120;
constexpr std::size_t kQuantizedRows = 16;  // that a thread takes at a time

std::size_t total_panels(const LinearPlan& plan) {
  std::size_t panels = 0;
  for (const Layer& layer : plan.layers) panels += panel_count(layer.weights.n);
  return panels;
}

void split(LinearPlan& plan, std::size_t threads) {
  std::size_t panel_step = kBlockPanels, row_blocks = 1;
  if (plan.rows <= kStreamingRows) {
    // Contiguous ranges, long enough to stream, a few for each thread so that a slow one does not
    // hold up the rest.
    panel_step = std::clamp<std::size_t>(total_panels(plan) / (3 * threads), 4, 32);
  } else if (total_panels(plan) < 3 * threads * kBlockPanels) {
    // Each of them brings the panels to its own form again: no more than keep the threads busy.
    const std::size_t wanted = (3 * threads * kBlockPanels - 1) / total_panels(plan) + 1;
    row_blocks = std::clamp<std::size_t>(plan.rows / kLeastBlockRows, 1, wanted);
  }
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const std::size_t panels = panel_count(plan.layers[i].weights.n);
    for (std::size_t p = 0; p < panels; p += panel_step) {
      for (std::size_t r = 0; r < row_blocks; ++r) {
        plan.items.push_back({i,
                              {.row_begin = plan.rows * r / row_blocks,
                               .row_end = plan.rows * (r + 1) / row_blocks,
                               .panel_begin = p,
                               .panel_end = std::min(panels, p + panel_step)}});
      }
    }
  }
}

LinearPlan make_plan(const Graph& graph, const Node& node, std::size_t threads) {
  LinearPlan plan;
  plan.x = node.inputs[0];
  const Tensor& x = graph.tensors[static_cast<std::size_t>(plan.x)];
  plan.k = x.dims.back();
  plan.rows = x.elements() / plan.k;
  const auto* const precise = node.attributes.list("precise");
  const auto& activations = *node.attributes.list("activations");
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const std::size_t at = 1 + i * kInputsPerLayer;
    const PackedFormat& format = *graph.tensors[static_cast<std::size_t>(node.inputs[at])].packed;
    Layer layer{
        .weights = {.type = format.type, .n = format.n, .k = format.k, .group = format.group},
        .weight = node.inputs[at],
        .bias = node.inputs[at + 1],
        .residual = node.inputs[at + 2],
        .y = node.outputs[i],
        .activation = static_cast<Activation>(activations[i]),
        .precise = precise != nullptr && !precise->empty() &&
                   (*precise)[std::min(i, precise->size() - 1)] != 0};
    plan.layers.push_back(layer);
  }
  split(plan, threads);
  return plan;
}

bool multiplies_integers(const Run& run, const Layer& layer, std::size_t rows) {
  if (!has_integer_form(layer.weights.type, layer.weights.group)) return false;
  if (run.activations == Activations::kF32) return false;
  if (run.activations != Activations::kAuto) return true;
  return rows <= (layer.weights.type == WeightType::kI8 ? run.kernels.integer_rows_i8
                                                        : run.kernels.integer_rows_i4);
}

// Levels of the quantized activations that a layer multiplies by.
int levels_of(const Run& run, const LinearPlan& plan, const Layer& layer) {
  const bool few = plan.rows <= kExactRows;
  switch (run.activations) {
    case Activations::kWide:
      return few || layer.precise || layer.weights.n <= layer.weights.k ? 2 : 1;
    case Activations::kMixed:
      return few || layer.precise ? 2 : 1;
    case Activations::kInt8:
      return few ? 2 : 1;
    default:
      return 2;
  }
}

// What the input is quantized to for all layers, or 0: none of them multiplies integers.
int input_levels(const Run& run, const LinearPlan& plan) {
  int levels = 0;
  for (const Layer& layer : plan.layers) {
    if (multiplies_integers(run, layer, plan.rows))
      levels = std::max(levels, levels_of(run, plan, layer));
  }
  return levels;
}

IntegerRows quantize(const Run& run, const LinearPlan& plan, int levels) {
  const IntegerRows rows = place_quantized(run.shared, plan.rows, plan.k, levels);
  const float* const x = run.in<float>(plan.x);
  parallel_ranges(run, plan.rows, kQuantizedRows,
                  [&](std::size_t begin, std::size_t end, std::byte*) {
                    run.kernels.quantize(x, plan.k, begin, end, rows);
                  });
  return rows;
}

void run_item(const Run& run, const LinearPlan& plan, const Item& item, std::uint64_t scales_offset,
              const IntegerRows* integers, std::byte* scratch) {
  const Layer& layer = plan.layers[item.layer];
  PackedWeights weights = layer.weights;
  const std::byte* packed = run.in<std::byte>(layer.weight);
  weights.panels = packed;
  if (weights.type == WeightType::kI8 || weights.type == WeightType::kI4) {
    const std::byte* const scales = packed + scales_offset;
    if (weights.group == 0) {
      weights.scales = reinterpret_cast<const float*>(scales);
    } else {
      weights.group_scales = reinterpret_cast<const std::uint16_t*>(scales);
    }
  }
  if (layer.bias >= 0) weights.bias = run.in<float>(layer.bias);
  LinearArgs args{.weights = &weights,
                  .x = run.in<float>(plan.x),
                  .x_stride = plan.k,
                  .y = run.out<float>(layer.y),
                  .y_stride = weights.n,
                  .activation = layer.activation};
  if (layer.residual >= 0) {
    args.residual = run.in<float>(layer.residual);
    args.residual_stride = weights.n;
  }
  if (integers != nullptr && multiplies_integers(run, layer, plan.rows)) {
    run.kernels.linear_integer(args, *integers, levels_of(run, plan, layer), item.slice, scratch);
  } else {
    run.kernels.linear(args, item.slice, scratch);
  }
}

RunFunction prepare_linear(const Graph& graph, const Node& node, int threads) {
  LinearPlan plan = make_plan(graph, node, static_cast<std::size_t>(threads));
  std::vector<std::uint64_t> scales_offsets;
  for (const Layer& layer : plan.layers) {
    scales_offsets.push_back(
        graph.tensors[static_cast<std::size_t>(layer.weight)].packed->scales_offset());
  }
  return [plan = std::move(plan), offsets = std::move(scales_offsets)](const Run& run) {
    const int levels = input_levels(run, plan);
    const IntegerRows integers = levels == 0 ? IntegerRows{} : quantize(run, plan, levels);
    parallel(run, plan.items.size(), [&](std::size_t i, std::byte* scratch) {
      run_item(run, plan, plan.items[i], offsets[plan.items[i].layer],
               levels == 0 ? nullptr : &integers, scratch);
    });
  };
}

std::size_t linear_scratch(const Graph& graph, const Node& node, const KernelTable& kernels) {
  std::size_t bytes = 0;
  for (std::size_t i = 1; i < node.inputs.size(); i += kInputsPerLayer) {
    const PackedFormat& format = *graph.tensors[static_cast<std::size_t>(node.inputs[i])].packed;
    bytes = std::max(bytes, linear_scratch_bytes(kernels, format.type, format.group, format.k));
  }
  return bytes;
}

std::size_t linear_shared(const Graph& graph, const Node& node) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const std::size_t k = x.dims.back();
  for (std::size_t i = 1; i < node.inputs.size(); i += kInputsPerLayer) {
    const PackedFormat& format = *graph.tensors[static_cast<std::size_t>(node.inputs[i])].packed;
    if (has_integer_form(format.type, format.group)) return quantized_bytes(x.elements() / k, k, 2);
  }
  return 0;
}

}  // namespace

std::vector<OpDefinition> linear_ops() {
  return {{.type = "Conv2d", .check = check_conv2d, .prepare = nullptr},
          {.type = "FullyConnected", .check = check_fully_connected, .prepare = nullptr},
          {.type = internal_op::kLinear,
           .check = check_packed_linear,
           .prepare = prepare_linear,
           .scratch_bytes = linear_scratch,
           .shared_bytes = linear_shared}};
}

}  // namespace qhx::cpu
