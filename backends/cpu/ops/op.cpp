#include "ops/op.h"

#include "ops/all.h"

namespace qhx::cpu {
namespace {

std::span<const OpDefinition> all_ops() {
  static const auto kOps = [] {
    std::vector<OpDefinition> ops;
    for (const auto& family :
         {linear_ops(), matmul_ops(), attention_ops(), norm_ops(), softmax_ops(), unary_ops(),
          binary_ops(), rope_ops(), reshape_ops(), transpose_ops(), concat_ops(), slice_ops(),
          tile_ops(), gather_ops(), cast_ops(), reduce_ops(), quantize_ops()}) {
      ops.insert(ops.end(), family.begin(), family.end());
    }
    return ops;
  }();
  return kOps;
}

}  // namespace

const OpDefinition* find_op(std::string_view type) {
  for (const OpDefinition& op : all_ops()) {
    if (op.type == type) return &op;
  }
  return nullptr;
}

std::vector<std::string_view> public_ops() {
  std::vector<std::string_view> names;
  for (const OpDefinition& op : all_ops()) {
    if (!is_internal(op.type)) names.push_back(op.type);
  }
  return names;
}

Status op_error(const OpView& op, std::string_view message) {
  return invalid_argument(op.node.type + " '" + op.node.name + "': " + std::string(message));
}

std::string describe(const OpView& op, bool is_input, std::size_t index) {
  const Tensor& tensor = *(is_input ? op.inputs : op.outputs)[index];
  return std::string(is_input ? "input " : "output ") + std::to_string(index) + " '" + tensor.name +
         "' " + std::string(name(tensor.dtype)) + " " + to_string(tensor.dims);
}

Status expect_counts(const OpView& op, std::size_t least_inputs, std::size_t most_inputs,
                     std::size_t outputs) {
  const std::size_t found = op.inputs.size();
  if (found < least_inputs || found > most_inputs) {
    std::string expected = std::to_string(least_inputs);
    if (most_inputs != least_inputs) expected += " to " + std::to_string(most_inputs);
    return op_error(op, "expected " + expected + " inputs, found " + std::to_string(found));
  }
  if (op.outputs.size() != outputs) {
    return op_error(op, "expected " + std::to_string(outputs) + " outputs, found " +
                            std::to_string(op.outputs.size()));
  }
  for (std::size_t i = 0; i < least_inputs; ++i) {
    if (op.inputs[i] == nullptr) return op_error(op, "input " + std::to_string(i) + " is required");
  }
  return {};
}

Status expect_params(const OpView& op, std::initializer_list<std::string_view> allowed) {
  const auto known = [&](const std::string& name) {
    return std::find(allowed.begin(), allowed.end(), name) != allowed.end();
  };
  for (const auto& [name, values] : op.node.attributes.ints) {
    if (!known(name)) return op_error(op, "unknown parameter '" + name + "'");
    if (values.empty()) return op_error(op, "parameter '" + name + "' is empty");
  }
  for (const auto& [name, value] : op.node.attributes.floats) {
    if (!known(name)) return op_error(op, "unknown parameter '" + name + "'");
  }
  return {};
}

Status expect_input_dims(const OpView& op, std::size_t input, const Dims& dims) {
  if (op.inputs[input]->dims == dims) return {};
  return op_error(op, describe(op, true, input) + ": expected dimensions " + to_string(dims));
}

Status expect_output_dims(const OpView& op, std::size_t output, const Dims& dims) {
  if (op.outputs[output]->dims == dims) return {};
  return op_error(op, describe(op, false, output) + ": expected dimensions " + to_string(dims));
}

Status expect_one_float_type(const OpView& op, std::initializer_list<std::size_t> inputs) {
  const DType type = op.outputs.front()->dtype;
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    if (!op.outputs[i]->is_float())
      return op_error(op, describe(op, false, i) + ": expected a float type");
    if (op.outputs[i]->dtype != type) {
      return op_error(op, describe(op, false, i) + ": expected type " + std::string(name(type)) +
                              " like output 0");
    }
  }
  for (const std::size_t i : inputs) {
    if (i >= op.inputs.size() || op.inputs[i] == nullptr) continue;
    if (op.inputs[i]->dtype != type) {
      return op_error(op, describe(op, true, i) + ": expected type " + std::string(name(type)) +
                              " like the output");
    }
  }
  return {};
}

Status expect_one_type(const OpView& op) {
  const DType type = op.outputs.front()->dtype;
  if (type == DType::kI8 || type == DType::kU8) {
    return op_error(op, describe(op, false, 0) + ": quantized tensors are weights of linears only");
  }
  for (std::size_t i = 0; i < op.outputs.size(); ++i) {
    if (op.outputs[i]->dtype != type) {
      return op_error(op, describe(op, false, i) + ": expected type " + std::string(name(type)) +
                              " like output 0");
    }
  }
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    if (op.inputs[i] != nullptr && op.inputs[i]->dtype != type) {
      return op_error(op, describe(op, true, i) + ": expected type " + std::string(name(type)) +
                              " like the output");
    }
  }
  return {};
}

Status expect_axes(const OpView& op, std::size_t rank) {
  const auto* axes = op.node.attributes.list("axes");
  if (axes == nullptr) return op_error(op, "parameter 'axes' is required");
  for (std::size_t i = 0; i < axes->size(); ++i) {
    const std::int64_t axis = (*axes)[i];
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank) || (i > 0 && axis <= (*axes)[i - 1])) {
      return op_error(op, "parameter 'axes': expected rising axes below " + std::to_string(rank) +
                              ", found " + std::to_string(axis) + " at place " + std::to_string(i));
    }
  }
  return {};
}

std::uint64_t product(const Dims& dims, std::size_t begin, std::size_t end) {
  std::uint64_t count = 1;
  for (std::size_t i = begin; i < end; ++i) count *= dims[i];
  return count;
}

Result<Activations> parse_activations(std::string_view text, std::string_view what) {
  constexpr std::pair<std::string_view, Activations> kForms[] = {
      {"auto", Activations::kAuto}, {"f32", Activations::kF32},     {"int16", Activations::kInt16},
      {"wide", Activations::kWide}, {"mixed", Activations::kMixed}, {"int8", Activations::kInt8}};
  for (const auto& [name, form] : kForms) {
    if (text == name) return form;
  }
  return invalid_argument(std::string(what) +
                          ": expected auto, f32, int16, wide, mixed or int8, found '" +
                          std::string(text) + "'");
}

}  // namespace qhx::cpu
